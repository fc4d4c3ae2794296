/** The command line of the fault suite. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Topology } from './scene.js';
import { scenarios } from './scenarios.js';

export interface FireOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly topologies: readonly Topology[];
  readonly only: readonly string[];
  readonly short: boolean;
  /** Keeps logs and histories of what failed. */
  readonly keep: boolean;
}

const names = scenarios.map(({ name }) => name);
const usage = `npm run fire -- [--minutes 10] [--seed N] [--topology solo|cluster|both] [--only ${names.join(',')}] [--short] [--keep]`;

export function readFireOptions(argv: readonly string[]): FireOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '0' },
      seed: { type: 'string', default: String(randomInt(2 ** 31)) },
      topology: { type: 'string', default: 'both' },
      only: { type: 'string', default: names.join(',') },
      short: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  const only = values.only.split(',').filter(Boolean);
  const unknown = only.filter((name) => !names.includes(name));
  const topologies: Record<string, Topology[]> = { solo: ['solo'], cluster: ['cluster'], both: ['solo', 'cluster'] };
  const chosen = topologies[values.topology];
  if (!chosen || unknown.length > 0 || !Number.isInteger(seed) || !(minutes >= 0)) throw new Error(usage);
  return { minutes, seed, topologies: chosen, only, short: values.short, keep: values.keep };
}
