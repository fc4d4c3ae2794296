export { type Decider, type DomainEvent, type Meta, fold } from './decider.js';
export { Refusal, type RefusalKind, type RefusalShape } from './refusal.js';
export { derivedId, eventId, isId, newId, scheduledRunId, streamParts } from './ids.js';
export { text } from './text.js';
export { duration, parseDuration } from './duration.js';
export {
  type Action,
  type ActionChange,
  type ActionKind,
  type ActionOf,
  type GivenAction,
  type GivenChange,
  action,
  actionChange,
  secretsOf,
} from './action/action.js';
export { environment } from './action/command.js';
export { type Kept, type Sealed, type SealedSecret, isSecret, isSecretName } from './action/secret.js';
export {
  type Overlap,
  type Policies,
  attemptsOf,
  catchUpWindowOf,
  defaultPriority,
  defaultQueue,
  jitterOf,
  policies,
  queueName,
  retryDelayAfter,
  timeoutOf,
} from './policies.js';
export {
  type ForceComplete,
  type Holder,
  type Outcome,
  type Run,
  type RunCommand,
  type RunStatus,
  isOver,
  run,
  runStatuses,
} from './run/run.js';
export {
  type OutputSummary,
  type RunEvent,
  type RunEventOf,
  type RunEventType,
  type RunRequested,
  type ForcedStatus,
} from './run/run.events.js';
export {
  type Batch,
  type BatchCommand,
  batch,
  batchNotOver,
  batchRunId,
  noSuchBatch,
  overWithBirth,
  runsOfBatch,
  sizeOf,
} from './batch/batch.js';
export { type BatchCreated, type BatchEvent } from './batch/batch.events.js';
export { type RunRow, foldRun } from './run/run.row.js';
export { type Process, type ProcessCommand, noSuchProcess, pauseIsOver, process } from './process/process.js';
export {
  type ProcessChange,
  type ProcessEvent,
  type ProcessSettings,
  type SurfaceDocument,
  type Trigger,
} from './process/process.events.js';
export { type ProcessRow, foldProcess } from './process/process.row.js';
export { describeTriggers, expressionOf, ifComputable, scheduleOf, trigger } from './process/trigger.js';
export {
  type Activity,
  type ActivityEvent,
  type ActivitySource,
  type ActivityType,
  activityOf,
  activityOfNotice,
  activityTypes,
  foldSource,
} from './activity/activity.js';
export { type Limit, type LimitCommand, limit } from './limit/limit.js';
export { type LimitEvent } from './limit/limit.events.js';
export { type User, type UserCommand, user } from './user/user.js';
export { type UserEvent } from './user/user.events.js';
export { type Right, type Role, may, rights, rightsOf, roles } from './user/role.js';
export { CronError, describeCron, parseCron } from './cron.js';
export { session, type SessionCommand, type SessionEvent } from './session/session.js';
export {
  type Calendar,
  type CalendarCommand,
  calendar,
  calendarBody,
  calendarId,
  calendarWindows,
} from './calendar/calendar.js';
export { type CalendarEvent, type CalendarSettings, type Window } from './calendar/calendar.events.js';
export { endOfWindow } from './calendar/window.js';
export { type Pause, type PauseCommand, type PauseInterval, pause, pauseAt } from './pause/pause.js';
export { type PauseEvent } from './pause/pause.events.js';
export { type Schedule } from './schedule/schedule.js';
export { type BlockReason, type ScheduleEvent } from './schedule/schedule.events.js';
export { type Webhook, type WebhookCommand, noSuchWebhook, webhook } from './webhook/webhook.js';
export { type WebhookEvent, type WebhookSettings } from './webhook/webhook.events.js';
export {
  type Notified,
  type RecordNotification,
  type Urgency,
  asksFor,
  notification,
  notificationId,
  urgencyOf,
} from './notification/notification.js';
export { type NotificationEvent } from './notification/notification.events.js';
