import { type Decider, type Meta } from '../decider.js';
import { derivedId } from '../ids.js';
import { Refusal } from '../refusal.js';
import { type ForcedStatus } from '../run/run.events.js';
import { type BatchCreated, type BatchEvent } from './batch.events.js';

export interface Batch {
  status: 'absent' | 'open' | 'deleted';
  owner: string;
  /** How many runs were made with it, and those that joined it. */
  total: number;
  joined: string[];
}

/** `any`: the asker may touch what is not his own. Without it another's batch is not found. `runs`: how many there were when they were purged. */
export type BatchCommand =
  | { type: 'CreateBatch'; meta: Meta; data: Omit<BatchCreated, 'owner' | 'at'> }
  | { type: 'JoinBatch'; meta: Meta; data: { any: boolean; run: string } }
  | { type: 'CancelBatch'; meta: Meta; data: { any: boolean; reason: string | null } }
  | { type: 'ForceCompleteBatch'; meta: Meta; data: { any: boolean; status: ForcedStatus } }
  | { type: 'DeleteBatch'; meta: Meta; data: { any: boolean; runs: number } };

/** Runs asked for together. What it came to follows from its runs; here is what was asked of it as a whole. */
export const batch: Decider<Batch, BatchCommand, BatchEvent> = {
  category: 'batch',
  initial: { status: 'absent', owner: '', total: 0, joined: [] },
  decide(state, { type, meta, data }) {
    const { now: at, actor: by } = meta;
    if (type === 'CreateBatch') {
      return state.status === 'absent' ? [{ type: 'BatchCreated', data: { ...data, owner: by, at } }] : [];
    }
    if (state.status !== 'open' || !(data.any || state.owner === by)) throw noSuchBatch();
    switch (type) {
      case 'JoinBatch':
        return state.joined.includes(data.run) ? [] : [{ type: 'BatchJoined', data: { run: data.run, by, at } }];
      case 'CancelBatch':
        return [{ type: 'BatchCancelRequested', data: { by, at, reason: data.reason } }];
      case 'ForceCompleteBatch':
        return [{ type: 'BatchForceCompleted', data: { status: data.status, by, at } }];
      case 'DeleteBatch':
        // One that was added meanwhile is not over, for all that is known.
        if (sizeOf(state) !== data.runs) throw batchNotOver();
        return [{ type: 'BatchDeleted', data: { by, at } }];
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'BatchCreated':
        return { ...state, status: 'open', owner: event.data.owner, total: event.data.total };
      case 'BatchJoined':
        return { ...state, joined: [...state.joined, event.data.run] };
      case 'BatchDeleted':
        return { ...state, status: 'deleted' };
      default:
        return state;
    }
  },
};

export const batchNotOver = () =>
  new Refusal('rejected', 'BATCH_NOT_OVER', 'Only a batch whose jobs are all finished can be deleted');
export const noSuchBatch = () => new Refusal('not-found', 'BATCH_NOT_FOUND', 'No such batch');

/** The id of a batch's run number `index` (from 0): who repeats the order means the same runs. */
export const batchRunId = (batchId: string, index: number): string => derivedId('batch-run', batchId, String(index));

/** How many of its runs were over with their birth, in three events; one that waits is born in one. */
export const overWithBirth = ({ total, births }: BatchCreated): number => (births - total) / 2;

export const sizeOf = ({ total, joined }: Batch): number => total + joined.length;

/** Every run of a batch, in the order in which they were submitted. */
export const runsOfBatch = (id: string, { total, joined }: Batch): string[] => [
  ...Array.from({ length: total }, (_, i) => batchRunId(id, i)),
  ...joined,
];
