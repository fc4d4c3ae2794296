/** Submit to start, cluster. */
import { latencyScenario } from '../lib/latency.mjs';

export const run = (stage) => latencyScenario(stage, 'cluster');
