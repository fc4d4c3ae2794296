/** Watchers of live output, cluster. */
import { socketScenario } from '../lib/sockets.mjs';

export const run = (stage) => socketScenario(stage, 'cluster');
