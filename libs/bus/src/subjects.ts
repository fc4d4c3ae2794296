import {
  type Action,
  type BatchEvent,
  type ForcedStatus,
  type Policies,
  type ProcessChange,
  type ProcessEvent,
  type ProcessRow,
  type ProcessSettings,
  type Role,
  type RunEvent,
  type RunRow,
  type RunStatus,
  type SealedSecret,
  type DomainEvent,
  type ForceComplete,
  type WebhookEvent,
  type WebhookSettings,
} from '#domain';
import { bell, command, query, type ServiceName } from './subject.js';
import { type DeliveryCard, type WebhookCard } from './webhooks.js';

/** An event as it travels: as stored, digest left out where it was not read back. */
export interface EventMessage<E extends DomainEvent = DomainEvent> {
  position: string;
  id: string;
  stream: string;
  version: number;
  type: E['type'];
  schema: number;
  data: E['data'];
  meta: { actor: string; at: string; correlationId: string; causationId: string | null };
  digest?: string;
}

/** What a command answers once its events are on disk. `position` is what a reader waits for to see them. */
export interface Committed<E extends DomainEvent = DomainEvent> {
  stream: string;
  position: string;
  version: number;
  /** What the order made, to be folded; the ledger has the rest of it. */
  events: Pick<EventMessage<E>, 'type' | 'data'>[];
  repeated: boolean;
}

/** `any`: the asker may touch what is not his own. Without it another's object is not found. */
export interface OnOne {
  id: string;
  any: boolean;
}

export interface RequestRun {
  id: string;
  name: string;
  action: Action;
  policies: Policies;
  payload: unknown;
  parameters: Record<string, unknown> | null;
  /** Not before this instant (ISO, UTC); at once when null. */
  scheduledFor: string | null;
  /** Set for a retry: the run that is tried again, and its process. */
  retryOf: string | null;
  process: RunRow['process'];
  /** A batch that it joins. */
  batch?: OnOne;
  /** Those that the action refers to and that are not stored yet. */
  secrets?: SealedSecret[];
}

/** All of them, in this order, or none. */
export interface CreateBatch {
  id: string;
  name: string;
  description: string | null;
  runs: Omit<RequestRun, 'id' | 'batch'>[];
}

/** A batch as lists have it; `counts` are its runs by status. */
export interface BatchCard {
  id: string;
  name: string;
  description: string | null;
  owner: string;
  createdAt: string;
  counts: Record<RunStatus, number>;
}

/** `count`: how many runs it made a difference to. */
export interface OnRuns {
  position: string;
  count: number;
}

export interface NewUser {
  id: string;
  username: string;
  email: string;
  role: Role;
  password: string;
  maxConcurrentRuns?: number | null;
}

/** What is left out stays; a limit of null gives the common one back. */
export interface UserChange {
  id: string;
  role?: Role;
  active?: boolean;
  password?: string;
  maxConcurrentRuns?: number | null;
}

export interface UserCard {
  id: string;
  number: number;
  username: string;
  email: string;
  role: Role;
  createdAt: string;
  active: boolean;
  /** How many of his runs may go at once; null: as many as anybody's. */
  maxConcurrentRuns: number | null;
}

export interface SignedIn {
  token: string;
  expiresAt: string;
  user: UserCard;
}

/** Who is asking: one session behind cookie or token. */
export interface Session {
  id: string;
  user: UserCard;
  expiresAt: string;
}

/** Every list: `cursor` is what the page before gave as `next`; `after` waits until the view has passed that position. */
export interface Paged {
  limit: number;
  cursor?: string;
  after?: string;
}
export interface Page<T> {
  items: T[];
  next: string | null;
}

/** An answer from a read model, and the position that it had reached. */
export interface Seen<T> {
  value: T;
  at: string;
}

export interface RunFilter extends Paged {
  /** Rows of these owners only; everybody's when left out. */
  owner?: string;
  process?: string;
  processNumber?: number;
  status?: RunStatus[];
  server?: string;
  batch?: string;
  from?: string;
  to?: string;
  /** In the order of their birth; newest first when left out. */
  oldestFirst?: boolean;
  /** Only runs that have started, in the order of their start. */
  started?: boolean;
}

export interface ProcessListed extends ProcessRow {
  lastRun: RunRow | null;
  nextRunAt: string | null;
}
export interface ProcessFilter extends Paged {
  q?: string;
  kind?: string;
  enabled?: boolean;
  owner?: string;
  order: 'number' | 'newest';
}

export interface EventFilter {
  after: string;
  limit: number;
  stream?: string;
  type?: string;
  actor?: string;
}

export interface OutputChunk {
  attempt: number;
  seq: number;
  stream: 'stdout' | 'stderr';
  offset: number;
  at: string;
  /** Base64 of the bytes. */
  bytes: string;
}

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

  defineProcess: command<ProcessSettings & { id: string; secrets?: SealedSecret[] }, Committed<ProcessEvent>>(
    'cmd.process.DefineProcess',
    'scheduler',
    fromGateway,
  ),
  reviseProcess: command<
    OnOne & { revision: number; change: ProcessChange; secrets?: SealedSecret[] },
    Committed<ProcessEvent>
  >('cmd.process.ReviseProcess', 'scheduler', fromGateway),
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

  signIn: command<{ login: string; password: string }, SignedIn>('cmd.user.SignIn', 'auth', fromGateway),
  signOut: command<{ session: string }, { ended: boolean }>('cmd.user.SignOut', 'auth', fromGateway),
  replacePassword: command<{ current: string; next: string; session: string }, { position: string }>(
    'cmd.user.ReplacePassword',
    'auth',
    fromGateway,
  ),
  createUser: command<NewUser, { user: UserCard; position: string }>('cmd.user.CreateUser', 'auth', fromGateway),
  changeUser: command<UserChange, { user: UserCard; position: string }>('cmd.user.ChangeUser', 'auth', fromGateway),
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

/** One flush: read after your checkpoint. `heads` (stream, type) is left out when it is long. */
export interface Flushed {
  first: string;
  last: string;
  heads?: [stream: string, type: string][];
  /** Each type of event in it, once. */
  types: string[];
  /** What was called under the ledger's lock along with it. */
  hooks: string[];
}

/** A piece of a run's output as watchers get it; `live` pieces are a sample of what is not kept. */
export interface LiveOutput {
  run: string;
  attempt: number;
  seq: number;
  stream: 'stdout' | 'stderr';
  text: string;
  live?: boolean;
}

/** As the executor rings it. The text is left out where a bell cannot carry it: the store has it. */
export interface RungOutput extends Omit<LiveOutput, 'text'> {
  text?: string;
}

export const bells = {
  flushed: bell<Flushed>('evt.ledger.Flushed', everybody, everybody),
  output: bell<RungOutput[]>('out.*', ['executor'], ['gateway']),
} as const;
