import type { Action } from '../action/action.js';
import type { Policies } from '../policies.js';

/** What the output came to: `bytes` printed on both streams, `stored` kept, `sha256` over the kept bytes in order. */
export interface OutputSummary {
  bytes: number;
  stored: number;
  truncated: boolean;
  sha256: string;
}

/** How an attempt ended, as the launcher saw it. `exitCode` is null when a signal ended it. */
interface Ending {
  attempt: number;
  at: string;
  exitCode: number | null;
  signal: string | null;
  output: OutputSummary | null;
}

/** What a person may say that a run came to. */
export type ForcedStatus = 'succeeded' | 'failed' | 'cancelled';

/** A person's word over the platform's. `replaces`: streams whose output was given with it. */
export interface RunForceCompleted {
  status: ForcedStatus;
  attempt: number;
  by: string;
  at: string;
  replaces: ('stdout' | 'stderr')[];
}

/** A run's birth: everything that it needs, so that it never reads the live process. */
export interface RunRequested {
  number: number;
  name: string;
  process: { id: string; number: number; name: string; revision: number } | null;
  action: Action;
  policies: Policies;
  priority: number;
  owner: string;
  batch: string | null;
  /** The instant that the trigger named (before jitter), or null for a run asked for by hand. */
  scheduledFor: string | null;
  retryOf: string | null;
  parameters: Record<string, unknown> | null;
  /** Opaque text and values that the client keeps with the run (`payload` of the jobs surface). */
  payload: unknown;
  requestedAt: string;
}

export type RunEvent =
  | { type: 'RunRequested'; data: RunRequested }
  | { type: 'RunHeld'; data: { reason: string; until: string | null; at: string } }
  | { type: 'RunSkipped'; data: { reason: string; cause: string | null; at: string } }
  | { type: 'RunStarted'; data: { attempt: number; epoch: string; executor: string; server: string; at: string } }
  | { type: 'RunProgressed'; data: { attempt: number; at: string; progress?: number; ops?: number; message?: string } }
  | { type: 'RunCancelRequested'; data: { by: string; at: string; reason: string | null } }
  | { type: 'RunSucceeded'; data: Ending }
  | { type: 'RunFailed'; data: Ending & { reason: string } }
  | { type: 'RunTimedOut'; data: Ending & { reason: string; survivors?: number[] } }
  | { type: 'RunCancelled'; data: Ending & { by: string; reason: string | null; survivors?: number[] } }
  | { type: 'RunLost'; data: { attempt: number; at: string; reason: string } }
  | { type: 'RunRetryScheduled'; data: { attempt: number; dueAt: string; at: string } }
  | { type: 'RunLateReported'; data: { attempt: number; epoch: string; at: string; outcome: string } }
  | { type: 'RunForceCompleted'; data: RunForceCompleted }
  | { type: 'RunPurged'; data: { by: string; at: string } };

export type RunEventType = RunEvent['type'];
export type RunEventOf<T extends RunEventType> = Extract<RunEvent, { type: T }>;
