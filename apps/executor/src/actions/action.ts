import { type ActionKind } from '#domain';
import { type Attempt } from '../attempt.js';
import { command } from './command.js';
import { type ActionRunner, type Host } from './host.js';
import { noop } from './noop.js';

/** One file a kind; a kind without its runner does not compile. */
const runners: { [K in ActionKind]: ActionRunner<K> } = { command, noop };

export function runAction(attempt: Attempt, host: Host): Promise<void> | void {
  const { action } = attempt.claimed.work;
  const runner = runners[action.kind] as ActionRunner<ActionKind>;
  return runner(attempt, action, host);
}
