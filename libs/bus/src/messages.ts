/** What goes over the bus: the types that both sides of a subject share. */
import {
  type Action,
  type CalendarSettings,
  type Policies,
  type ProcessChange,
  type ProcessRow,
  type ProcessSettings,
  type Role,
  type RunRow,
  type RunStatus,
  type SealedSecret,
  type DomainEvent,
} from '#domain';

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

/** `disabled`: from the start on. */
export interface DefineProcess extends ProcessSettings {
  id: string;
  disabled?: boolean;
  secrets?: SealedSecret[];
}

/** `enabled`: whether its triggers fire from then on; as before when left out. */
export interface ReviseProcess extends OnOne {
  revision: number;
  change: ProcessChange;
  enabled?: boolean;
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

/** `minutes`: how long the session is to last; as long as the settings say when left out. */
export interface SignIn {
  login: string;
  password: string;
  minutes?: number;
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

/** What a due instant of a process came to. `text` says it in a sentence; `cause` is what stands behind the reason: a run, a calendar, a user. */
export interface Tick {
  at: string;
  outcome: 'fired' | 'skipped' | 'held';
  run: string | null;
  reason: string | null;
  cause: string | null;
  text: string;
}

export interface CalendarCard extends CalendarSettings {
  id: string;
  owner: string;
}

/** How often it was done in this window, this time included. */
export interface Taken {
  count: number;
  resetInSeconds: number;
}

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
