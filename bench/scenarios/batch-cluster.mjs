/** No-op runs by batch, cluster. */
import { batchScenario } from '../lib/batch.mjs';

export const run = (stage) => batchScenario(stage, 'cluster');
