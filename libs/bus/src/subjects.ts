import {
  type BatchEvent,
  type CalendarEvent,
  type CalendarSettings,
  type ForcedStatus,
  type PauseEvent,
  type PauseInterval,
  type ProcessEvent,
  type RunEvent,
  type RunRow,
  type RunStatus,
  type ForceComplete,
  type SealedSecret,
  type WebhookEvent,
  type WebhookSettings,
} from '#domain';
import { type ActivityEntry, type ActivityFilter } from './activity-messages.js';
import {
  type EventMessage,
  type Committed,
  type OnOne,
  type RequestRun,
  type ReviseProcess,
  type CreateBatch,
  type DefineProcess,
  type BatchCard,
  type OnRuns,
  type NewUser,
  type UserChange,
  type UserCard,
  type SignedIn,
  type SignIn,
  type Session,
  type Paged,
  type Page,
  type Seen,
  type RunFilter,
  type ProcessListed,
  type ProcessFilter,
  type EventFilter,
  type OutputChunk,
  type Tick,
  type CalendarCard,
  type Taken,
  type Flushed,
  type RungOutput,
} from './messages.js';
import { bell, command, query, type ServiceName } from './subject.js';
import { type DeliveryCard, type WebhookCard } from './webhooks.js';

const fromGateway: ServiceName[] = ['gateway'];

/** Every subject there is, once: name, owner, who may send it, and both types. */
export const subjects = {
  requestRun: command<RequestRun, Committed<RunEvent>>('cmd.run.RequestRun', 'executor', fromGateway),
  cancelRun: command<OnOne & { reason: string | null }, Committed<RunEvent>>(
    'cmd.run.CancelRun',
    'executor',
    fromGateway,
  ),
  forceCompleteRun: command<OnOne & ForceComplete, Committed<RunEvent>>(
    'cmd.run.ForceCompleteRun',
    'executor',
    fromGateway,
  ),
  /** Answers when its output is gone, however much it was: `erased` bytes. */
  purgeRun: command<OnOne, Committed<RunEvent> & { erased: number }>(
    'cmd.run.PurgeRun',
    'executor',
    ['gateway', 'history'],
    { timeoutMs: 30_000 },
  ),
  createBatch: command<CreateBatch, Committed<BatchEvent>>('cmd.batch.CreateBatch', 'executor', fromGateway, {
    timeoutMs: 60_000,
  }),
  cancelBatch: command<OnOne & { reason: string | null }, OnRuns>('cmd.batch.CancelBatch', 'executor', fromGateway, {
    timeoutMs: 60_000,
  }),
  forceCompleteBatch: command<OnOne & { status: ForcedStatus }, OnRuns>(
    'cmd.batch.ForceCompleteBatch',
    'executor',
    fromGateway,
    { timeoutMs: 60_000 },
  ),
  deleteBatch: command<OnOne, OnRuns>('cmd.batch.DeleteBatch', 'executor', fromGateway, { timeoutMs: 120_000 }),
  setDefaultLimit: command<{ most: number }, { position: string }>(
    'cmd.limit.SetDefaultLimit',
    'executor',
    fromGateway,
  ),
  getDefaultLimit: query<Record<string, never>, number>('qry.limit.default', 'executor', fromGateway),
  /** Why a run that is queued has not started, in words; null when it is not in the queue. */
  explainWait: query<{ run: string }, string | null>('qry.run.wait', 'executor', fromGateway),
  readOutput: query<
    {
      run: string;
      after: { attempt: number; seq: number } | null;
      attempt?: number;
      stream?: 'stdout' | 'stderr';
      limit: number;
    },
    { chunks: OutputChunk[]; more: boolean }
  >('qry.output.read', 'executor', fromGateway),

  /** Whether this program is on the PATH that commands get. */
  hasProgram: query<{ name: string }, boolean>('qry.executor.program', 'executor', fromGateway),

  defineProcess: command<DefineProcess, Committed<ProcessEvent>>('cmd.process.DefineProcess', 'scheduler', fromGateway),
  reviseProcess: command<ReviseProcess, Committed<ProcessEvent>>('cmd.process.ReviseProcess', 'scheduler', fromGateway),
  enableProcess: command<OnOne, Committed<ProcessEvent>>('cmd.process.EnableProcess', 'scheduler', fromGateway),
  disableProcess: command<OnOne & { reason: string | null; until: string | null }, Committed<ProcessEvent>>(
    'cmd.process.DisableProcess',
    'scheduler',
    fromGateway,
  ),
  retireProcess: command<OnOne, Committed<ProcessEvent>>('cmd.process.RetireProcess', 'scheduler', fromGateway),
  runProcess: command<OnOne & { run: string; parameters: Record<string, unknown> | null }, Committed<RunEvent>>(
    'cmd.process.RunProcess',
    'scheduler',
    fromGateway,
  ),

  /** Due instants in (from, to], oldest first. */
  listTicks: query<{ process: string; from: string; to: string; limit: number }, Tick[]>(
    'qry.schedule.ticks',
    'scheduler',
    fromGateway,
  ),
  beginPause: command<{ reason: string; until: string | null }, Committed<PauseEvent>>(
    'cmd.pause.BeginPause',
    'scheduler',
    fromGateway,
  ),
  endPause: command<Record<string, never>, Committed<PauseEvent>>('cmd.pause.EndPause', 'scheduler', fromGateway),
  /** The pause of everything that holds now. */
  getPause: query<Record<string, never>, PauseInterval | null>('qry.pause.get', 'scheduler', fromGateway),
  defineCalendar: command<CalendarSettings, Committed<CalendarEvent> & { card: CalendarCard }>(
    'cmd.calendar.DefineCalendar',
    'scheduler',
    fromGateway,
  ),
  reviseCalendar: command<
    OnOne & { change: Partial<Omit<CalendarSettings, 'name'>> },
    Committed<CalendarEvent> & { card: CalendarCard }
  >('cmd.calendar.ReviseCalendar', 'scheduler', fromGateway),
  retireCalendar: command<OnOne, Committed<CalendarEvent>>('cmd.calendar.RetireCalendar', 'scheduler', fromGateway),
  listCalendars: query<Record<string, never>, CalendarCard[]>('qry.calendars.list', 'scheduler', fromGateway),

  createWebhook: command<WebhookSettings & { id: string; secret: SealedSecret }, Committed<WebhookEvent>>(
    'cmd.webhook.CreateWebhook',
    'scheduler',
    fromGateway,
  ),
  deleteWebhook: command<OnOne, Committed<WebhookEvent>>('cmd.webhook.DeleteWebhook', 'scheduler', fromGateway),
  replayWebhook: command<OnOne & { from: string }, WebhookCard & { position: string }>(
    'cmd.webhook.ReplayWebhook',
    'scheduler',
    fromGateway,
  ),
  listWebhooks: query<Paged & { owner?: string }, Page<WebhookCard>>('qry.webhooks.list', 'scheduler', fromGateway),
  listDeliveries: query<Paged & OnOne, Page<DeliveryCard>>('qry.webhooks.deliveries', 'scheduler', fromGateway),

  /** Whether there is a scheduler: it answers with true. */
  schedulerRuns: query<Record<string, never>, boolean>('qry.scheduler.runs', 'scheduler', fromGateway),

  signIn: command<SignIn, SignedIn>('cmd.user.SignIn', 'auth', fromGateway),
  signOut: command<{ session: string }, { ended: boolean }>('cmd.user.SignOut', 'auth', fromGateway),
  replacePassword: command<{ current: string; next: string; session: string }, { position: string }>(
    'cmd.user.ReplacePassword',
    'auth',
    fromGateway,
  ),
  createUser: command<NewUser, { user: UserCard; position: string }>('cmd.user.CreateUser', 'auth', fromGateway),
  changeUser: command<UserChange, { user: UserCard; position: string }>('cmd.user.ChangeUser', 'auth', fromGateway),
  /** Counts one more under this key, in windows of so many seconds. */
  takeRate: command<{ key: string; seconds: number }, Taken>('cmd.rate.Take', 'auth', fromGateway),
  listUsers: query<Record<string, never>, UserCard[]>('qry.users.list', 'auth', fromGateway),
  getUser: query<{ id: string }, UserCard | null>('qry.users.get', 'auth', fromGateway),
  verifySession: query<{ session: string; user: string }, Session | null>('qry.session.verify', 'auth', fromGateway),
  publicKeys: query<Record<string, never>, { kid: string; pem: string }[]>('qry.session.keys', 'auth', fromGateway),

  listRuns: query<RunFilter, Seen<Page<RunRow>>>('qry.runs.list', 'history', fromGateway),
  getRun: query<{ id: string; after?: string }, Seen<RunRow | null>>('qry.runs.get', 'history', fromGateway),
  getRunByNumber: query<{ number: number; after?: string }, Seen<RunRow | null>>(
    'qry.runs.byNumber',
    'history',
    fromGateway,
  ),
  countRuns: query<{ owner?: string; after?: string }, Seen<Record<RunStatus, number>>>(
    'qry.runs.count',
    'history',
    fromGateway,
  ),
  listBatches: query<Paged & { owner?: string }, Seen<Page<BatchCard>>>('qry.batches.list', 'history', fromGateway),
  countBatches: query<{ owner?: string; after?: string }, Seen<number>>('qry.batches.count', 'history', fromGateway),
  getBatch: query<{ id: string; after?: string }, Seen<BatchCard | null>>('qry.batches.get', 'history', fromGateway),
  listProcesses: query<ProcessFilter, Seen<Page<ProcessListed>>>('qry.processes.list', 'history', fromGateway),
  getProcess: query<{ id?: string; number?: number; after?: string }, Seen<ProcessListed | null>>(
    'qry.processes.get',
    'history',
    fromGateway,
  ),
  listActivity: query<ActivityFilter, Seen<{ entries: ActivityEntry[]; total: number }>>(
    'qry.activity.list',
    'history',
    fromGateway,
  ),
  listEvents: query<EventFilter, { items: EventMessage[]; scanned: string; head: string }>(
    'qry.events.list',
    'history',
    fromGateway,
  ),
  verifyLedger: query<
    { from?: string; to?: string },
    {
      ok: boolean;
      checked: string;
      firstBad?: { position: string; problem: string; text: string };
      head: { position: string; hash: string };
    }
  >('qry.ledger.verify', 'history', fromGateway, { timeoutMs: 120_000 }),
} as const;

const everybody: ServiceName[] = ['gateway', 'auth', 'scheduler', 'executor', 'history'];

export const bells = {
  flushed: bell<Flushed>('evt.ledger.Flushed', everybody, everybody),
  output: bell<RungOutput[]>('out.*', ['executor'], ['gateway']),
} as const;
