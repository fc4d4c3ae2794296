/** `npm run fire`: the fault suite. One whole round, then further rounds from further seeds while there are minutes left. */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { findNats, howToGetNats } from '../local/nats.js';
import { Cleanup, suiteDir, sweepFormer } from './cleanup.js';
import { Dice } from './dice.js';
import { readFireOptions, type FireOptions } from './options.js';
import { Report } from './report.js';
import { type Scenario, type Scene, type Topology } from './scene.js';
import { scenarios } from './scenarios.js';
import { Store } from './store.js';

interface Suite {
  readonly options: FireOptions;
  readonly report: Report;
  readonly cleanup: Cleanup;
  readonly dir: string;
  readonly store: Store;
  readonly nats: string | null;
  readonly stopping: AbortSignal;
}

async function main(): Promise<number> {
  const options = readFireOptions(process.argv.slice(2));
  const stopping = new AbortController();
  const cleanup = new Cleanup();
  const end = (why: string, code: number) => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    console.log(`\n${why}: ending everything that was started`);
    void cleanup.run().then(() => process.exit(code));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(signal, 130));
  // A mistake of the harness must not leave everything running; while it ends, whoever is in the middle of something fails.
  process.on('uncaughtException', (error) => end(String(error.stack), 1));
  console.log(`Seed ${options.seed}`);
  await sweepFormer();
  const report = new Report();
  try {
    const dir = suiteDir(cleanup);
    const store = await Store.start(dir, cleanup);
    const nats = await findNats();
    await rounds({ options, report, cleanup, dir, store, nats, stopping: stopping.signal });
  } finally {
    await cleanup.run();
  }
  // The signal that ended it says so itself.
  if (stopping.signal.aborted) return new Promise<number>(() => undefined);
  report.print(options.seed);
  return report.failed === 0 ? 0 : 1;
}

async function rounds(suite: Suite): Promise<void> {
  const { options, stopping } = suite;
  const until = performance.now() + options.minutes * 60_000;
  const took = new Map<string, number>();
  for (let round = 0; round === 0 || performance.now() < until; round++) {
    let ran = 0;
    for (const [n, [scenario, topology]] of plan(options).entries()) {
      if (stopping.aborted) return;
      const name = `${scenario.name}${scenario.topologies === 'none' ? '' : ` on ${topology}`}`;
      if (round > 0 && performance.now() + (took.get(name) ?? 0) > until) continue;
      const began = performance.now();
      await one(suite, scenario, topology, name, options.seed + round * 1_000 + n, round);
      took.set(name, performance.now() - began);
      ran++;
    }
    if (ran === 0) return;
  }
}

function plan({ only, topologies }: FireOptions): [Scenario, Topology][] {
  return scenarios
    .filter(({ name }) => only.includes(name))
    .flatMap((scenario): [Scenario, Topology][] => {
      if (scenario.topologies === 'none') return [[scenario, 'solo']];
      const wanted = scenario.topologies;
      return topologies.filter((each) => wanted.includes(each)).map((topology) => [scenario, topology]);
    });
}

async function one(
  suite: Suite,
  scenario: Scenario,
  topology: Topology,
  name: string,
  seed: number,
  round: number,
): Promise<void> {
  const { options, report, store, nats } = suite;
  console.log(`\n${name} (seed ${seed})`);
  if (topology === 'cluster' && nats === null) return report.skip(name, howToGetNats);
  const dir = path.join(suite.dir, `${scenario.name}-${topology}-${round}`);
  mkdirSync(dir, { mode: 0o711 });
  const cleanup = new Cleanup();
  const undo = suite.cleanup.add(() => cleanup.run());
  const dist = path.resolve(import.meta.dirname, '../..');
  const { short } = options;
  const scene: Scene = { name, topology, dist, dir, dice: new Dice(seed), short, report, cleanup, store, nats };
  const failed = report.failed;
  const began = performance.now();
  try {
    await scenario.run(scene);
  } catch (error) {
    report.check(name, 'the scenario could be carried out', false, String((error as Error).stack ?? error));
  }
  await undo();
  // What is mounted below it is gone by now.
  rmSync(path.join(dir, 'data'), { recursive: true, force: true, maxRetries: 5 });
  if (options.keep && report.failed > failed) {
    cpSync(dir, path.join('.fire', path.basename(dir)), { recursive: true });
  }
  console.log(`    ${((performance.now() - began) / 1_000).toFixed(0)} s`);
}

process.exit(await main());
