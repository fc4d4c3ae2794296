import { type ActionKind, type ActionOf, type Outcome, type Sealed } from '#domain';
import { type OpenEnv } from '#secrets';
import { type Attempt } from '../attempt.js';
import { type StartOrder } from '../launcher/protocol.js';

/** What a kind of action may use of its executor. */
export interface Host {
  /** Hands a command to the launcher; its end is recorded when the launcher reports it. */
  launch(attempt: Attempt, order: Omit<StartOrder, 'key'>): void;
  finish(attempt: Attempt, outcome: Outcome): void;
  /** The environment in clear; null when it cannot be had, and then the attempt is over. */
  open(attempt: Attempt, env: Record<string, string | Sealed>): Promise<OpenEnv | null>;
  /** Working directories must lie under one of these, when there are any. */
  allowedRoots: string[];
}

export type ActionRunner<K extends ActionKind> = (
  attempt: Attempt,
  action: ActionOf<K>,
  host: Host,
) => Promise<void> | void;
