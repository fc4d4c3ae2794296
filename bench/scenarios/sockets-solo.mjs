/** Watchers of live output, solo. */
import { socketScenario } from '../lib/sockets.mjs';

export const run = (stage) => socketScenario(stage, 'solo');
