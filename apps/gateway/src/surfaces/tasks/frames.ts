/** What the events of processes and their runs are to whoever watches at `/ws`. */
import {
  activityOf,
  activityOfNotice,
  attemptsOf,
  isOver,
  type Activity,
  type ActivityEvent,
  type NotificationEvent,
  type ProcessEvent,
  type RunEvent,
  type RunRow,
} from '#domain';
import { type Frame, type FrameOf } from './frames.shapes.js';
import { type Occasion, priorityWord } from './task.js';
import { durationOf, progressOf, statusWords } from './tasks.shapes.js';

/** A run of a process as it is after an event. */
export type TaskRun = RunRow & { process: NonNullable<RunRow['process']> };

export const isTaskRun = (row: RunRow): row is TaskRun => row.process !== null;

export const idsOf = (run: string, task: string) => ({
  ...{ task_id: task, taskId: task, execution_id: run, executionId: run },
});

/** Whether nothing more comes of it by itself. `ending`: somebody wants it to end, so that it is not tried again. */
export function isFinal({ status, attempt, policies }: RunRow, ending: boolean): boolean {
  if (!isOver(status)) return false;
  const again = ['failed', 'timed-out', 'lost'].includes(status) && attempt < attemptsOf(policies);
  return ending || !again;
}

/** Events that leave an execution as it was. */
const silent: RunEvent['type'][] = ['RunCancelRequested', 'RunLateReported', 'RunPurged'];

export function runFrames(row: TaskRun, event: RunEvent, position: string, final: boolean): Frame[] {
  if (silent.includes(event.type)) return [];
  const { id, process, attempt, exitCode } = row;
  const ids = idsOf(id, process.id);
  const status = statusWords[row.status];
  const timestamp = instantOf(event);
  const frames: Frame[] = [];
  if (event.type === 'RunStarted') {
    frames.push({ type: 'execution_start', data: { ...ids, name: process.name, attempt }, timestamp });
  }
  frames.push({ type: 'task_status', data: { ...ids, status, progress: progressOf(row) }, timestamp });
  if (final) {
    const data = { ...ids, status, duration: durationOf(row), exit_code: exitCode };
    frames.push({ type: 'execution_complete', data, timestamp });
  }
  const source = { owner: row.owner, process: process.id, name: process.name, startedAt: row.startedAt };
  const activity = activityOf(source, event);
  if (!activity) return frames;
  frames.push(logFrame(activity, position, process.id, id));
  const notice = noticeOf(row, event, final);
  return notice ? [...frames, notification(notice, row, activity)] : frames;
}

export function processFrames(name: string, id: string, event: ProcessEvent, position: string): Frame[] {
  const activity = activityOf({ owner: '', process: id, name, startedAt: null }, event);
  return activity ? [logFrame(activity, position, id, null)] : [];
}

export function noticeFrames(event: NotificationEvent, position: string): Frame[] {
  const activity = activityOfNotice(event);
  const { process, run } = event.data;
  return activity && process ? [logFrame(activity, position, process, run)] : [];
}

const instantOf = ({ data }: RunEvent): string => ('requestedAt' in data ? data.requestedAt : data.at);

function logFrame(
  { type, message, metadata, at }: Activity,
  id: string,
  taskId: string,
  executionId: string | null,
): FrameOf<'activity_log'> {
  const data = { id, type, message, metadata: JSON.stringify(metadata), createdAt: at, taskId, executionId };
  return { type: 'activity_log', data, timestamp: at };
}

interface Notice {
  title: string;
  tag: string;
  on: Occasion[];
}

const notices: Partial<Record<ActivityEvent['type'], Notice>> = {
  RunStarted: { title: 'Task Started', tag: 'arrow_forward', on: ['start'] },
  RunSucceeded: { title: 'Task Complete', tag: 'check_mark', on: ['completion', 'always'] },
  RunFailed: { title: 'Task Failed', tag: 'rotating_light', on: ['error', 'always'] },
  RunTimedOut: { title: 'Task Failed', tag: 'rotating_light', on: ['error', 'always'] },
  RunLost: { title: 'Task Failed', tag: 'rotating_light', on: ['error', 'always'] },
};

/** What is tried again has not failed yet, and starts once. */
function noticeOf({ policies, attempt }: RunRow, { type }: RunEvent, final: boolean): Notice | null {
  const notice = notices[type];
  const wanted = policies.notify?.on ?? [];
  if (!notice || wanted.includes('never') || !notice.on.some((occasion) => wanted.includes(occasion))) return null;
  return final || (type === 'RunStarted' && attempt === 1) ? notice : null;
}

function notification({ title, tag }: Notice, row: TaskRun, { message, at }: Activity): FrameOf<'notification'> {
  const word = priorityWord(row.priority);
  const urgent = tag === 'rotating_light' && (word === 'low' || word === 'default');
  const ids = { taskId: row.process.id, executionId: row.id };
  return {
    type: 'notification',
    data: { title, message, priority: urgent ? 'high' : word, tags: [tag], ...ids },
    timestamp: at,
  };
}
