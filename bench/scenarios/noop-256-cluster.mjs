/** Recorded no-op runs, one HTTP call a run, 256 in flight, on five processes and a nats-server. */
import { noopScenario } from '../lib/noop.mjs';

export const run = (stage) => noopScenario(stage, { topology: 'cluster', lanes: 256, must: 2, aim: 4 });
