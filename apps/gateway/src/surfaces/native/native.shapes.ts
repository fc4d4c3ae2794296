import { z } from 'zod';
import { type ProcessListed } from '#bus';
import {
  action,
  actionChange,
  describeTriggers,
  isSecret,
  policies,
  runStatuses,
  text,
  trigger,
  type Action,
  type ProcessEvent,
  type RunRow,
} from '#domain';

const name = text(200, 1);
const parameters = z.record(z.string().max(100), z.unknown()).nullable().optional();
const instant = z.iso.datetime({ offset: true });
const position = z.string().regex(/^\d{1,18}$/, 'must be a position');

/** An offset may be one that the store cannot read, and lead beyond the four digits that RFC 3339 has for a year. */
const end = instant
  .refine((given) => new Date(given).getUTCFullYear() <= 9999, 'must be before the year 10000')
  .transform((given) => new Date(given).toISOString());

export const processBody = z.strictObject({
  name,
  description: text(2_000).nullable().default(null),
  action,
  triggers: z.array(trigger).max(20).default([]),
  policies: policies.default({}),
});

export const processChange = z.strictObject({
  revision: z.int().min(1),
  name: name.optional(),
  description: text(2_000).nullable().optional(),
  action: actionChange.optional(),
  triggers: z.array(trigger).max(20).optional(),
  policies: policies.optional(),
});

export const disableBody = z.strictObject({
  reason: text(500).nullable().default(null),
  until: end.nullable().default(null),
});
export const runProcessBody = z.strictObject({ parameters });
export const runBody = z.strictObject({ name: name.optional(), action, policies: policies.default({}), parameters });
export const cancelBody = z.strictObject({ reason: text(500).nullable().default(null) });
export const passwordBody = z.strictObject({ current: z.string().min(1), new: text(1_024, 8) });
export const emptyBody = z.strictObject({});

const paging = {
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  cursor: z.string().max(100).optional(),
  after: position.optional(),
};
export const oneQuery = z.object({ after: position.optional() });
export const processesQuery = z.object({
  ...paging,
  q: z.string().max(200).optional(),
  kind: z.string().max(20).optional(),
  enabled: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
});
export const runsQuery = z.object({
  ...paging,
  process: z.uuid().optional(),
  status: z.enum(runStatuses).optional(),
  owner: z.string().max(64).optional(),
  server: z.string().max(200).optional(),
  batch: z.uuid().toLowerCase().optional(),
  from: instant.optional(),
  to: instant.optional(),
});
export const eventsQuery = z.object({
  after: position.default('0'),
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  cursor: position.optional(),
  stream: z.string().max(100).optional(),
  type: z.string().max(100).optional(),
  actor: z.string().max(64).optional(),
});
export const streamQuery = z.object({ after: position.optional(), limit: paging.limit, cursor: position.optional() });
export const verifyQuery = z.object({ from: position.optional(), to: position.optional() });
export const outputQuery = z.object({
  after: position.optional(),
  stream: z.enum(['stdout', 'stderr']).optional(),
  attempt: z.coerce.number().int().min(1).max(100).optional(),
  from: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(0).optional(),
});

/** As answered: UTC, with milliseconds. */
const time = z.iso.datetime({ precision: 3 });

/** An action as it is answered: that there is a secret, and not which. */
const nativeAction = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('command'),
    command: z.array(z.string()).optional(),
    shell: z.string().optional(),
    cwd: z.string().optional(),
    env: z.record(z.string(), z.union([z.string(), z.object({ secret: z.literal(true) })])).optional(),
  }),
  z.object({ kind: z.literal('noop') }),
]);
type ShownAction = z.infer<typeof nativeAction>;

export const nativeRun = z.object({
  id: z.uuid(),
  number: z.int(),
  name: z.string(),
  process: z.object({ id: z.uuid(), name: z.string(), revision: z.int() }).nullable(),
  action: nativeAction,
  status: z.enum(runStatuses),
  reason: z.string().nullable(),
  attempt: z.int(),
  priority: z.int(),
  owner: z.string(),
  batch: z.uuid().nullable(),
  server: z.string().nullable(),
  scheduled: z.boolean(),
  scheduledFor: time.nullable(),
  requestedAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  durationMs: z.int().nullable(),
  exitCode: z.int().nullable(),
  signal: z.string().nullable(),
  ops: z.int(),
  progress: z.number().nullable(),
  message: z.string().nullable(),
  output: z
    .object({ bytes: z.int(), stored: z.int(), truncated: z.boolean(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })
    .nullable(),
});
nativeRun.register(z.globalRegistry, { id: 'Run' });

const nativeTrigger = z.union([
  z.object({ cron: z.string(), zone: z.string() }),
  z.object({ every: z.string() }),
  z.object({ at: time }),
]);

export const nativeProcess = z.object({
  id: z.uuid(),
  number: z.int(),
  name: z.string(),
  description: z.string().nullable(),
  enabled: z.boolean(),
  revision: z.int(),
  action: nativeAction,
  triggers: z.array(nativeTrigger),
  policies,
  /** When it runs by itself, in words; null for one that runs by hand only. */
  words: z.string().nullable(),
  owner: z.string(),
  createdAt: time,
  updatedAt: time,
  nextRunAt: time.nullable(),
  lastRun: nativeRun.nullable(),
});
nativeProcess.register(z.globalRegistry, { id: 'Process' });

export const nativeEvent = z.object({
  position,
  id: z.uuid(),
  stream: z.string(),
  version: z.int(),
  type: z.string(),
  schema: z.int(),
  data: z.looseObject({}),
  meta: z.object({ actor: z.string(), at: time, correlationId: z.string(), causationId: z.string().nullable() }),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
});
nativeEvent.register(z.globalRegistry, { id: 'Event' });

/** What a revision fixed, who made it and when. */
export const nativeRevision = z.object({
  revision: z.int(),
  name: z.string(),
  description: z.string().nullable(),
  action: nativeAction,
  triggers: z.array(nativeTrigger),
  policies,
  by: z.string(),
  at: time,
});
nativeRevision.register(z.globalRegistry, { id: 'Revision' });

export const listOf = <S extends z.ZodType>(item: S) => z.object({ items: z.array(item), next: z.string().nullable() });

function shownAction(of: Action): ShownAction {
  if (of.kind !== 'command') return of;
  const { env, ...rest } = of;
  if (!env) return rest;
  const shown = Object.entries(env).map(([name, value]) => [name, isSecret(name, value) ? { secret: true } : value]);
  return { ...rest, env: Object.fromEntries(shown) as NonNullable<(ShownAction & { kind: 'command' })['env']> };
}

/** Written out, as its row is: an object put together of several costs a multiple. */
export function nativeRunShape(row: RunRow): z.infer<typeof nativeRun> {
  const { process, startedAt, finishedAt } = row;
  return {
    id: row.id,
    number: row.number,
    name: row.name,
    process: process && { id: process.id, name: process.name, revision: process.revision },
    action: shownAction(row.action),
    status: row.status,
    reason: row.reason,
    attempt: row.attempt,
    priority: row.priority,
    owner: row.owner,
    batch: row.batch,
    server: row.server,
    scheduled: row.scheduledFor !== null,
    scheduledFor: row.scheduledFor,
    requestedAt: row.requestedAt,
    startedAt,
    finishedAt,
    durationMs: startedAt && finishedAt ? Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)) : null,
    exitCode: row.exitCode,
    signal: row.signal,
    ops: row.ops,
    progress: row.progress,
    message: row.message,
    output: row.output,
  };
}

export function nativeProcessShape({ lastRun, nextRunAt, ...row }: ProcessListed): z.infer<typeof nativeProcess> {
  const { id, number, name, description, enabled, revision, action, triggers, policies, owner, createdAt, updatedAt } =
    row;
  return {
    ...{ id, number, name, description, enabled, revision, triggers, policies, owner, createdAt, updatedAt },
    ...{
      action: shownAction(action),
      words: describeTriggers(triggers),
      nextRunAt,
      lastRun: lastRun && nativeRunShape(lastRun),
    },
  };
}

/** None when the event changes no setting. */
export function nativeRevisionShape(event: ProcessEvent): z.infer<typeof nativeRevision>[] {
  if (event.type !== 'ProcessDefined' && event.type !== 'ProcessRevised') return [];
  const { name, description, action, triggers, policies, by, at } = event.data;
  const revision = 'revision' in event.data ? event.data.revision : 1;
  return [{ revision, name, description, action: shownAction(action), triggers, policies, by, at }];
}
