/** Recorded no-op runs, one HTTP call a run, 256 in flight, solo. */
import { noopScenario } from '../lib/noop.mjs';

export const run = (stage) => noopScenario(stage, { topology: 'solo', lanes: 256, must: 4, aim: 6 });
