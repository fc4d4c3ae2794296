import { type Action } from '../action/action.js';
import { type Policies } from '../policies.js';
import { type OutputSummary, type RunEvent } from './run.events.js';
import { isOver, type RunStatus } from './run.js';

/** A run as people ask for it: what the events so far come to. `run_view` holds one a run; surfaces shape it. */
export interface RunRow {
  id: string;
  number: number;
  name: string;
  process: { id: string; number: number; name: string; revision: number } | null;
  action: Action;
  policies: Policies;
  status: RunStatus;
  reason: string | null;
  attempt: number;
  priority: number;
  owner: string;
  batch: string | null;
  server: string | null;
  scheduledFor: string | null;
  requestedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  exitCode: number | null;
  signal: string | null;
  ops: number;
  progress: number | null;
  message: string | null;
  output: OutputSummary | null;
  parameters: Record<string, unknown> | null;
  payload: unknown;
}

/** Folds one event into the row; a run's first event makes it, its purge ends it. Pure, so a rebuild comes to the same row. */
export function foldRun(row: RunRow | null, id: string, event: RunEvent): RunRow | null {
  if (event.type === 'RunRequested') return requested(id, event.data);
  if (!row) return null;
  switch (event.type) {
    case 'RunHeld':
      return { ...row, status: 'held', reason: event.data.reason };
    case 'RunSkipped':
      return { ...row, status: 'skipped', reason: event.data.reason, finishedAt: event.data.at };
    case 'RunStarted': {
      const { attempt, server, at } = event.data;
      const begun: RunRow = { ...row, status: 'running', attempt, server, startedAt: at };
      begun.finishedAt = begun.exitCode = begun.signal = begun.output = begun.reason = null;
      begun.progress = begun.message = null;
      begun.ops = 0;
      return begun;
    }
    case 'RunProgressed': {
      const { progress = row.progress, ops = row.ops, message = row.message } = event.data;
      return { ...row, progress, ops, message };
    }
    case 'RunCancelRequested':
      return row;
    case 'RunSucceeded':
      return ended(row, event.data, 'succeeded', null);
    case 'RunFailed':
      return ended(row, event.data, 'failed', event.data.reason);
    case 'RunTimedOut':
      return ended(row, event.data, 'timed-out', event.data.reason);
    case 'RunCancelled':
      return ended(row, event.data, 'cancelled', event.data.reason ?? 'cancelled');
    case 'RunLost':
      return { ...row, status: 'lost', reason: event.data.reason, finishedAt: event.data.at };
    case 'RunRetryScheduled':
      return { ...row, status: 'queued', finishedAt: null };
    case 'RunLateReported':
      return row;
    case 'RunForceCompleted': {
      const { status, at } = event.data;
      const finishedAt = isOver(row.status) ? row.finishedAt : at;
      return { ...row, status, finishedAt, reason: status === 'succeeded' ? null : 'force-completed' };
    }
    case 'RunPurged':
      return null;
    default:
      event satisfies never;
      return row;
  }
}

/** Written out: an object put together of several costs a multiple, and every run comes through here. */
function requested(id: string, data: Extract<RunEvent, { type: 'RunRequested' }>['data']): RunRow {
  return {
    id,
    number: data.number,
    name: data.name,
    process: data.process,
    action: data.action,
    policies: data.policies,
    priority: data.priority,
    owner: data.owner,
    batch: data.batch,
    scheduledFor: data.scheduledFor,
    requestedAt: data.requestedAt,
    parameters: data.parameters,
    payload: data.payload,
    status: 'queued',
    reason: null,
    attempt: 0,
    server: null,
    startedAt: null,
    finishedAt: null,
    exitCode: null,
    signal: null,
    ops: 0,
    progress: null,
    message: null,
    output: null,
  };
}

type Ending = Extract<RunEvent, { type: 'RunSucceeded' }>['data'];

function ended(row: RunRow, ending: Ending, status: RunStatus, reason: string | null): RunRow {
  const { at, exitCode, signal, output } = ending;
  return { ...row, finishedAt: at, exitCode, signal, output, status, reason };
}
