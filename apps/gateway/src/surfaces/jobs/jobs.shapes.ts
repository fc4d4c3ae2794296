import { z } from 'zod';
import {
  defaultQueue,
  environment,
  isSecret,
  queueName,
  runStatuses,
  text,
  type Action,
  type RunRow,
  type RunStatus,
  type Sealed,
} from '#domain';

export const jobStatuses = ['pending', 'running', 'success', 'failed', 'canceled'] as const;
export type JobStatus = (typeof jobStatuses)[number];

/** The document's words for what a run is. */
export const statusWords: Record<RunStatus, JobStatus> = {
  queued: 'pending',
  held: 'pending',
  running: 'running',
  succeeded: 'success',
  failed: 'failed',
  'timed-out': 'failed',
  lost: 'failed',
  cancelled: 'canceled',
  skipped: 'canceled',
};

export const statusesOf = (word: JobStatus): RunStatus[] =>
  runStatuses.filter((status) => statusWords[status] === word);

export const tokenForm = z.object({ username: z.string().min(1).max(256), password: z.string().min(1).max(4_096) });

/** With a zone or without, which means UTC. */
const instant = z.iso
  .datetime({ offset: true, local: true })
  .transform((value) => new Date(/(Z|[+-]\d\d:?\d\d)$/.test(value) ? value : `${value}Z`))
  .refine((at) => at.getFullYear() < 2200, 'must be an instant of this time')
  .transform((at) => at.toISOString());

export const jobBody = z.object({
  name: text(200, 1).nullable().optional(),
  command: z.array(text(131_072)).min(1).max(4_096),
  working_dir: text(4_096, 1).nullable().optional(),
  env: environment.nullable().optional(),
  payload: z.record(z.string(), z.unknown()).nullable().optional(),
  priority: z.int().min(0).max(10).default(5),
  queue: queueName.default(defaultQueue),
  scheduled_at: instant.nullable().optional(),
  batch_id: z.uuid().toLowerCase().nullable().optional(),
});

/** The verdicts that a person may give, and what the domain calls them. */
export const verdicts = { success: 'succeeded', failed: 'failed', canceled: 'cancelled' } as const;

const given = text(1_048_576).nullable().optional();
export const forceBody = z.object({
  status: z.enum(['success', 'failed', 'canceled']),
  stdout: given,
  stderr: given,
});

const word = z.enum(jobStatuses);
export const jobsQuery = z.object({
  status: word.optional(),
  status_filter: word.optional(),
  batch_id: z.uuid().toLowerCase().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).optional(),
  cursor: z.string().max(100).optional(),
});
export const statsQuery = z.object({ all: z.enum(['true', 'false']).default('false') });

const time = z.iso.datetime({ precision: 3 });

export const jobRead = z.object({
  id: z.uuid(),
  name: z.string().nullable(),
  command: z.array(z.string()),
  working_dir: z.string().nullable(),
  env: z.record(z.string(), z.string()),
  payload: z.unknown(),
  queue: z.string(),
  priority: z.int(),
  status: word,
  result: z.null(),
  error: z.string().nullable(),
  return_code: z.int().nullable(),
  scheduled_at: time.nullable(),
  started_at: time.nullable(),
  completed_at: time.nullable(),
  created_at: time,
  owner_id: z.string(),
  batch_id: z.uuid().nullable(),
  /** Why it has not started: looked up where one job is asked for. */
  waiting_for: z.string().nullable(),
});
jobRead.register(z.globalRegistry, { id: 'Job' });

export const jobLogs = z.object({
  id: z.uuid(),
  stdout: z.string(),
  stderr: z.string(),
  return_code: z.int().nullable(),
  command: z.array(z.string()),
  working_dir: z.string().nullable(),
});

export const counts = z.object({
  ...Object.fromEntries(jobStatuses.map((status) => [status, z.int()])),
  total: z.int(),
});

function masked(env: Record<string, string | Sealed>): Record<string, string> {
  const shown = Object.entries(env).map(([name, value]) => [name, isSecret(name, value) ? '***' : value]);
  return Object.fromEntries(shown) as Record<string, string>;
}

/** What a job without a name is called; half a character at the end could not be stored. */
export const titleOf = (command: string[]): string =>
  command
    .join(' ')
    .slice(0, 200)
    .replace(/[\ud800-\udbff]$/, '') || 'job';

export function commandOf(action: Action): string[] {
  if (action.kind !== 'command') return [action.kind];
  return action.command ?? ['/bin/sh', '-c', action.shell ?? ''];
}

export const workingDirOf = (action: Action): string | null =>
  action.kind === 'command' ? (action.cwd ?? null) : null;

export function jobShape(row: RunRow): z.infer<typeof jobRead> {
  const { action, policies, status } = row;
  return {
    id: row.id,
    name: row.name,
    command: commandOf(action),
    working_dir: workingDirOf(action),
    env: action.kind === 'command' ? masked(action.env ?? {}) : {},
    payload: row.payload ?? null,
    queue: policies.queue ?? defaultQueue,
    priority: row.priority,
    status: statusWords[status],
    result: null,
    error: row.reason,
    return_code: row.exitCode,
    scheduled_at: row.scheduledFor,
    started_at: row.startedAt,
    completed_at: row.finishedAt,
    created_at: row.requestedAt,
    owner_id: row.owner,
    batch_id: row.batch,
    waiting_for: null,
  };
}
