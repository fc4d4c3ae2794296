/** Submit to start, solo. */
import { latencyScenario } from '../lib/latency.mjs';

export const run = (stage) => latencyScenario(stage, 'solo');
