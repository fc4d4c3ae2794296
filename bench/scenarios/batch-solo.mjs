/** No-op runs by batch, solo. */
import { batchScenario } from '../lib/batch.mjs';

export const run = (stage) => batchScenario(stage, 'solo');
