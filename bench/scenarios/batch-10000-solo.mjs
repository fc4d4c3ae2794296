/** 10,000 runs in one call, solo. */
import { largeBatchScenario } from '../lib/large-batch.mjs';

export const run = (stage) => largeBatchScenario(stage, 'solo');
