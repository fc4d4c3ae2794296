/** Runs of `true`, on a cluster. */
import { commandScenario } from '../lib/commands.mjs';

export const run = (stage) => commandScenario(stage, { topology: 'cluster' });
