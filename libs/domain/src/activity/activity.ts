/** What an activity log says of processes, their runs, and who was told of them. */
import { type NotificationEvent } from '../notification/notification.events.js';
import { type ProcessEvent } from '../process/process.events.js';
import { type RunEvent } from '../run/run.events.js';

export const activityTypes = [
  'task_start',
  'task_complete',
  'task_error',
  'task_retry',
  'task_created',
  'task_updated',
  'task_deleted',
  'notification_sent',
  'notification_error',
] as const;
export type ActivityType = (typeof activityTypes)[number];

/** Whom and what the events of one stream are about. */
export interface ActivitySource {
  owner: string;
  process: string;
  /** The process's name. */
  name: string;
  /** When the newest attempt began; null for a process, and for a run that has not started. */
  startedAt: string | null;
}

export interface Activity {
  type: ActivityType;
  message: string;
  metadata: Record<string, string | number | null>;
  at: string;
}

export type ActivityEvent = ProcessEvent | RunEvent;

/**
 * What is known of a stream after one more event of it; null while it is none of the log's: a run without a process.
 * `processOwner`: whose process a run belongs to, whoever asked for the run.
 */
export function foldSource(
  known: ActivitySource | null,
  id: string,
  event: ActivityEvent,
  processOwner?: string,
): ActivitySource | null {
  switch (event.type) {
    case 'ProcessDefined':
      return { owner: event.data.owner, process: id, name: event.data.name, startedAt: null };
    case 'ProcessRevised':
      return known && { ...known, name: event.data.name };
    case 'RunRequested': {
      const { process, owner } = event.data;
      return process && { owner: processOwner ?? owner, process: process.id, name: process.name, startedAt: null };
    }
    case 'RunStarted':
      return known && { ...known, startedAt: event.data.at };
    default:
      return known;
  }
}

/** The entry that an event makes; null when it makes none. `source`: as known after the event. */
export function activityOf({ name, startedAt }: ActivitySource, event: ActivityEvent): Activity | null {
  const news = newsOf(event, startedAt);
  if (!news) return null;
  const at = 'at' in event.data ? event.data.at : event.data.requestedAt;
  return { type: news[0], message: `Task '${name}' ${news[1]}`, metadata: news[2] ?? {}, at };
}

/** The entry that word of a run makes: null where the run has no process. */
export function activityOfNotice({ type, data }: NotificationEvent): Activity | null {
  const { process, channel, title, at, attempts, answer } = data;
  if (process === null) return null;
  const metadata = { channel, title, attempts, answer };
  if (type === 'NotificationSent')
    return { type: 'notification_sent', message: `Notification '${title}' sent by ${channel}`, metadata, at };
  return {
    type: 'notification_error',
    message: `Notification '${title}' could not be sent by ${channel}`,
    metadata,
    at,
  };
}

type News = [type: ActivityType, what: string, metadata?: Activity['metadata']];

function newsOf(event: ActivityEvent, startedAt: string | null): News | null {
  switch (event.type) {
    case 'ProcessDefined':
      return ['task_created', 'created'];
    case 'ProcessRevised':
      return ['task_updated', 'updated', { revision: event.data.revision }];
    case 'ProcessEnabled':
      return ['task_updated', 'enabled'];
    case 'ProcessDisabled':
      return ['task_updated', 'disabled'];
    case 'ProcessRetired':
      return ['task_deleted', 'deleted'];
    case 'RunStarted':
      return ['task_start', 'started', { attempt: event.data.attempt }];
    case 'RunRetryScheduled':
      return ['task_retry', `is tried again: attempt ${event.data.attempt}`, { attempt: event.data.attempt }];
    default:
      return endOf(event, startedAt);
  }
}

function endOf(event: ActivityEvent, startedAt: string | null): News | null {
  switch (event.type) {
    case 'RunSucceeded':
      return ['task_complete', 'completed successfully', ending(startedAt, event.data)];
    case 'RunFailed':
    case 'RunTimedOut':
    case 'RunLost': {
      const { reason: error } = event.data;
      return ['task_error', `failed: ${error}`, { ...ending(startedAt, event.data), error }];
    }
    case 'RunCancelled': {
      const error = event.data.reason ? `cancelled: ${event.data.reason}` : 'cancelled';
      return ['task_error', `was ${error}`, { ...ending(startedAt, event.data), error }];
    }
    case 'RunForceCompleted': {
      const { status, attempt } = event.data;
      return [status === 'succeeded' ? 'task_complete' : 'task_error', `was marked as ${status}`, { attempt }];
    }
    default:
      return null;
  }
}

interface Ending {
  attempt: number;
  at: string;
  exitCode?: number | null;
  signal?: string | null;
}

/** Of an attempt that began: a run that is cancelled while it waits took no time. */
function ending(
  startedAt: string | null,
  { attempt, at, exitCode = null, signal = null }: Ending,
): Activity['metadata'] {
  const duration = startedAt === null ? null : Math.max(0, Date.parse(at) - Date.parse(startedAt));
  return { duration, exit_code: exitCode, attempt, ...(signal ? { signal } : {}) };
}
