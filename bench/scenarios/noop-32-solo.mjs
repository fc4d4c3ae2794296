/** Recorded no-op runs, one HTTP call a run, 32 in flight, solo. */
import { noopScenario } from '../lib/noop.mjs';

export const run = (stage) => noopScenario(stage, { topology: 'solo', lanes: 32, must: 3, aim: 4 });
