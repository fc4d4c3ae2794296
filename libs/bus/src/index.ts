export { type ActivityEntry, type ActivityFilter } from './activity-messages.js';
export { Answers } from './answers.js';
export { Bus, type BusStats, createInProcessBus, createNatsBus, type InProcessOptions } from './bus.js';
export { correlation } from './correlation.js';
export { largestMessage, RemoteBug } from './envelope.js';
export { InProcessExchange } from './in-process.js';
export { type BusLog, type BusOptions } from './options.js';
export { type PayloadDatabase, payloadMigrationSql, type PayloadStore, PostgresPayloads } from './payloads.js';
export { type NatsUser, natsUsers } from './permissions.js';
export {
  type AnyBell,
  type AnySubject,
  type Bell,
  bell,
  type CallMeta,
  command,
  query,
  type Request,
  type ServiceName,
  serviceNames,
  type Subject,
  type SubjectSettings,
} from './subject.js';
export {
  type BatchCard,
  type CalendarCard,
  type Committed,
  type CreateBatch,
  type DefineProcess,
  type EventFilter,
  type EventMessage,
  type Flushed,
  type LiveOutput,
  type NewUser,
  type OnOne,
  type OnRuns,
  type OutputChunk,
  type RungOutput,
  type Page,
  type Paged,
  type ProcessFilter,
  type ProcessListed,
  type RequestRun,
  type ReviseProcess,
  type RunFilter,
  type Seen,
  type Session,
  type SignedIn,
  type SignIn,
  type Taken,
  type Tick,
  type UserCard,
  type UserChange,
} from './messages.js';
export { bells, subjects } from './subjects.js';
export { type DeliveryCard, type WebhookCard } from './webhooks.js';
