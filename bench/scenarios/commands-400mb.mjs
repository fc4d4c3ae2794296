/** Runs of `true` while the product's process and the peer's hold 400 MB more: who forks from a big process pays for it. */
import { commandScenario } from '../lib/commands.mjs';

export const run = (stage) => commandScenario(stage, { topology: 'solo', heavy: true });
