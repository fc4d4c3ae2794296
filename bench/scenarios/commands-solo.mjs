/** Runs of `true`, solo. */
import { commandScenario } from '../lib/commands.mjs';

export const run = (stage) => commandScenario(stage, { topology: 'solo' });
