import { type ForcedStatus } from '../run/run.events.js';

export interface BatchCreated {
  name: string;
  description: string | null;
  owner: string;
  /** How many runs were made with it. */
  total: number;
  /** How many events of its runs' births follow it in the same commit: a reader that has passed them knows all of it. */
  births: number;
  at: string;
}

export type BatchEvent =
  | { type: 'BatchCreated'; data: BatchCreated }
  | { type: 'BatchJoined'; data: { run: string; by: string; at: string } }
  | { type: 'BatchCancelRequested'; data: { by: string; at: string; reason: string | null } }
  | { type: 'BatchForceCompleted'; data: { status: ForcedStatus; by: string; at: string } }
  | { type: 'BatchDeleted'; data: { by: string; at: string } };
