import { type ActionKind, type ActionOf, type Outcome } from '#domain';
import { type Attempt } from '../attempt.js';
import { type StartOrder } from '../launcher/protocol.js';
import { command } from './command.js';
import { noop } from './noop.js';

/** What a kind of action may use of its executor. */
export interface Host {
  /** Hands a command to the launcher; its end is recorded when the launcher reports it. */
  launch(attempt: Attempt, order: Omit<StartOrder, 'key'>): void;
  finish(attempt: Attempt, outcome: Outcome): void;
  /** Working directories must lie under one of these, when there are any. */
  allowedRoots: string[];
}

export type ActionRunner<K extends ActionKind> = (attempt: Attempt, action: ActionOf<K>, host: Host) => Promise<void> | void;

/** One file a kind; a kind without its runner does not compile. */
const runners: { [K in ActionKind]: ActionRunner<K> } = { command, noop };

export function runAction(attempt: Attempt, host: Host): Promise<void> | void {
  const { action } = attempt.claimed.work;
  const runner = runners[action.kind] as ActionRunner<ActionKind>;
  return runner(attempt, action, host);
}
