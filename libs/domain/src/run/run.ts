import { type Decider, type Meta } from '../decider.js';
import { attemptsOf, retryDelayAfter, type Policies } from '../policies.js';
import { Refusal } from '../refusal.js';
import {
  type OutputSummary,
  type RunEvent,
  type RunEventOf,
  type RunRequested,
  type ForcedStatus,
} from './run.events.js';

export const runStatuses = [
  'queued',
  'held',
  'running',
  'succeeded',
  'failed',
  'timed-out',
  'cancelled',
  'lost',
  'skipped',
] as const;
export type RunStatus = (typeof runStatuses)[number];

export interface Run {
  status: RunStatus | 'absent';
  /** The attempt that runs or ran last; 0 before the first start. */
  attempt: number;
  /** What that attempt's reports must carry; null once it was lost: whatever it still reports is late. */
  epoch: string | null;
  policies: Policies;
  cancel: { by: string; reason: string | null } | null;
  owner: string;
  purged: boolean;
}

/** What an attempt came to. `killed` says why we ended it, when we did; `survivors` are pids that no signal ended. */
export interface Outcome {
  exitCode: number | null;
  signal: string | null;
  killed: 'cancel' | 'timeout' | 'fenced' | 'shutdown' | null;
  /** Why it could not run or be recorded (`command not found: x`), else null. */
  error: string | null;
  output: OutputSummary | null;
  survivors?: number[];
}

export type RunCommand =
  /** `atOnce`: there is nothing to wait for and nothing to do, so it has succeeded with whoever was asked for it. */
  | { type: 'RequestRun'; meta: Meta; data: Omit<RunRequested, 'requestedAt'> & { atOnce?: Holder } }
  /** `any`: the asker may cancel what is not his own. */
  | { type: 'CancelRun'; meta: Meta; data: { reason: string | null; any: boolean } }
  | {
      type: 'ReportProgress';
      meta: Meta;
      data: { attempt: number; epoch: string; progress?: number; ops?: number; message?: string };
    }
  | { type: 'FinishRun'; meta: Meta; data: { attempt: number; epoch: string; outcome: Outcome } }
  | { type: 'LoseRun'; meta: Meta; data: { attempt: number; epoch: string; reason: string } }
  | { type: 'ForceCompleteRun'; meta: Meta; data: ForceComplete }
  | { type: 'PurgeRun'; meta: Meta; data: { any: boolean } };

/** A verdict, and what is to stand for the output: kept beside the events, as output is. */
export interface ForceComplete {
  status: ForcedStatus;
  any: boolean;
  stdout?: string;
  stderr?: string;
}

/** Who holds an attempt. */
export type Holder = Pick<RunEventOf<'RunStarted'>['data'], 'epoch' | 'executor' | 'server'>;

type CommandOf<T extends RunCommand['type']> = Extract<RunCommand, { type: T }>;

export const isOver = (status: Run['status']): boolean =>
  ['succeeded', 'failed', 'timed-out', 'cancelled', 'lost', 'skipped'].includes(status);
const isWaiting = (status: Run['status']) => status === 'queued' || status === 'held';
const holds = (state: Run, data: { attempt: number; epoch: string }) =>
  state.status === 'running' && state.attempt === data.attempt && state.epoch === data.epoch;

/** The states are drawn in `README.md` beside this file. Unless a run is over with its request, `RunStarted` is appended by the claim, in SQL, and so is `RunSkipped`. */
export const run: Decider<Run, RunCommand, RunEvent> = {
  category: 'run',
  initial: { status: 'absent', attempt: 0, epoch: null, policies: {}, cancel: null, owner: '', purged: false },
  decide(state, command) {
    const { now } = command.meta;
    switch (command.type) {
      case 'RequestRun':
        if (state.status !== 'absent') return [];
        return request(command);
      case 'CancelRun':
        return cancel(state, command);
      case 'ReportProgress': {
        const { epoch: _, ...data } = command.data;
        return holds(state, command.data) ? [{ type: 'RunProgressed', data: { ...data, at: now } }] : [];
      }
      case 'FinishRun':
        return finish(state, command);
      case 'LoseRun': {
        const { attempt, reason } = command.data;
        if (!holds(state, command.data)) return [];
        return [{ type: 'RunLost', data: { attempt, reason, at: now } }, ...retry(state, attempt, now)];
      }
      case 'ForceCompleteRun':
        return forceComplete(state, command);
      case 'PurgeRun':
        return purge(state, command);
      default:
        return command satisfies never;
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'RunRequested':
        return { ...state, status: 'queued', policies: event.data.policies, owner: event.data.owner };
      case 'RunHeld':
        return { ...state, status: 'held' };
      case 'RunSkipped':
        return { ...state, status: 'skipped' };
      case 'RunStarted':
        return { ...state, status: 'running', attempt: event.data.attempt, epoch: event.data.epoch };
      case 'RunCancelRequested':
        return { ...state, cancel: { by: event.data.by, reason: event.data.reason } };
      case 'RunSucceeded':
        return { ...state, status: 'succeeded' };
      case 'RunFailed':
        return { ...state, status: 'failed' };
      case 'RunTimedOut':
        return { ...state, status: 'timed-out' };
      case 'RunCancelled':
        return { ...state, status: 'cancelled' };
      case 'RunLost':
        return { ...state, status: 'lost', epoch: null };
      case 'RunRetryScheduled':
        return { ...state, status: 'queued' };
      case 'RunForceCompleted':
        return { ...state, status: event.data.status, epoch: state.status === 'running' ? null : state.epoch };
      case 'RunPurged':
        return { ...state, purged: true };
      default:
        return state;
    }
  },
};

function request({ meta: { now }, data: { atOnce, ...data } }: CommandOf<'RequestRun'>): RunEvent[] {
  const requested: RunEvent = { type: 'RunRequested', data: { ...data, requestedAt: now } };
  if (!atOnce) return [requested];
  return [
    requested,
    { type: 'RunStarted', data: { attempt: 1, ...atOnce, at: now } },
    { type: 'RunSucceeded', data: { attempt: 1, at: now, exitCode: 0, signal: null, output: null } },
  ];
}

function cancel(state: Run, { meta, data }: CommandOf<'CancelRun'>): RunEvent[] {
  if (!isThereFor(state, meta, data) || state.purged) throw noSuchRun();
  if (isOver(state.status)) throw new Refusal('conflict', 'RUN_OVER', `The run is already over: ${state.status}`);
  const by = meta.actor;
  if (isWaiting(state.status)) {
    const ending = { attempt: state.attempt, at: meta.now, exitCode: null, signal: null, output: null };
    return [{ type: 'RunCancelled', data: { ...ending, by, reason: data.reason } }];
  }
  if (state.cancel) return [];
  return [{ type: 'RunCancelRequested', data: { by, at: meta.now, reason: data.reason } }];
}

/** An attempt that runs is fenced by it: the verdict stands, whatever its processes still come to. */
function forceComplete(state: Run, { meta, data }: CommandOf<'ForceCompleteRun'>): RunEvent[] {
  if (!isThereFor(state, meta, data) || state.purged) throw noSuchRun();
  const replaces = (['stdout', 'stderr'] as const).filter((stream) => data[stream] !== undefined);
  const forced = { status: data.status, attempt: state.attempt, by: meta.actor, at: meta.now, replaces };
  return [{ type: 'RunForceCompleted', data: forced }];
}

function purge(state: Run, { meta, data }: CommandOf<'PurgeRun'>): RunEvent[] {
  if (!isThereFor(state, meta, data)) throw noSuchRun();
  if (state.purged) return [];
  if (!isOver(state.status))
    throw new Refusal('rejected', 'RUN_NOT_OVER', `Only what is finished can be purged: the run is ${state.status}`);
  return [{ type: 'RunPurged', data: { by: meta.actor, at: meta.now } }];
}

const isThereFor = (state: Run, { actor }: Meta, { any }: { any: boolean }) =>
  state.status !== 'absent' && (any || state.owner === actor);
const noSuchRun = () => new Refusal('not-found', 'RUN_NOT_FOUND', 'No such run');

/** A report of an attempt that no longer holds the run is kept and changes nothing. */
function finish(state: Run, { meta: { now }, data }: CommandOf<'FinishRun'>): RunEvent[] {
  const { attempt, epoch, outcome } = data;
  if (state.status === 'absent') throw noSuchRun();
  if (!holds(state, data)) {
    if (state.attempt === attempt && state.epoch === epoch) return [];
    return [{ type: 'RunLateReported', data: { attempt, epoch, at: now, outcome: describe(outcome) } }];
  }
  const { exitCode, signal, output, survivors } = outcome;
  const ending = { attempt, at: now, exitCode, signal, output };
  const left = survivors?.length ? { survivors } : {};
  if (outcome.killed === 'fenced' || outcome.killed === 'shutdown') {
    const reason = outcome.killed === 'fenced' ? 'its executor was out of reach' : 'its executor was stopped';
    return [{ type: 'RunLost', data: { attempt, at: now, reason } }, ...retry(state, attempt, now)];
  }
  if (outcome.killed === 'cancel' && state.cancel) {
    return [{ type: 'RunCancelled', data: { ...ending, by: state.cancel.by, reason: state.cancel.reason, ...left } }];
  }
  if (outcome.killed === 'timeout') {
    const reason = `timed out after ${state.policies.timeout ?? 'its limit'}`;
    return [{ type: 'RunTimedOut', data: { ...ending, reason, ...left } }, ...retry(state, attempt, now)];
  }
  if (exitCode === 0 && !outcome.error) return [{ type: 'RunSucceeded', data: ending }];
  const failed: RunEvent = { type: 'RunFailed', data: { ...ending, reason: outcome.error ?? describe(outcome) } };
  return [failed, ...retry(state, attempt, now)];
}

function retry(state: Run, attempt: number, now: string): RunEvent[] {
  if (state.cancel || attempt >= attemptsOf(state.policies)) return [];
  const dueAt = new Date(Date.parse(now) + retryDelayAfter(state.policies, attempt)).toISOString();
  return [{ type: 'RunRetryScheduled', data: { attempt: attempt + 1, dueAt, at: now } }];
}

function describe({ exitCode, signal, killed, error }: Outcome): string {
  if (error) return error;
  if (killed) return `killed: ${killed}`;
  return signal ? `ended by ${signal}` : `exit code ${exitCode}`;
}
