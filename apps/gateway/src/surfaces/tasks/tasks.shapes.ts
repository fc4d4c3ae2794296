import { z } from 'zod';
import { text, type RunRow, type RunStatus } from '#domain';
import {
  occasions,
  priorities,
  usualOccasions,
  wordsOf,
  type Occasion,
  type Priority,
  type TaskProcess,
} from './task.js';

const password = z.string().min(1).max(4_096);
const login = z.string().min(1).max(256);

/** `email` may hold the name. */
export const signInBody = z
  .object({ email: login.optional(), username: login.optional(), password })
  .refine(({ email, username }) => email !== undefined || username !== undefined, {
    path: ['email'],
    message: 'is required',
  });

const priority = z.enum(Object.keys(priorities) as [Priority, ...Priority[]]);

/** Comma text, each word once. */
const notifyOn = z
  .string()
  .max(200)
  .transform((list, context): Occasion[] => {
    const words = list
      .split(',')
      .map((word) => word.trim())
      .filter(Boolean);
    const unknown = words.find((word) => !occasions.includes(word as Occasion));
    if (unknown === undefined) return [...new Set(words as Occasion[])];
    context.addIssue({ code: 'custom', message: `"${unknown}" is none of ${occasions.join(', ')}` });
    return z.NEVER;
  });

const fields = {
  name: text(100, 1),
  description: text(500).nullable(),
  command: text(60_000, 1).refine((line) => /\S/.test(line), 'must not be blank'),
  args: text(60_000),
  schedule: text(1_000).nullable(),
  timezone: text(64, 1),
  enabled: z.boolean(),
  priority,
  notifyOn,
};

export const taskBody = z.object({
  ...fields,
  description: fields.description.default(null),
  args: fields.args.default('{}'),
  schedule: fields.schedule.default(null),
  timezone: fields.timezone.default('UTC'),
  enabled: fields.enabled.default(true),
  priority: priority.default('default'),
  notifyOn: notifyOn.prefault(usualOccasions.join(',')),
});
export const taskChange = z.object(fields).partial();

export const executeBody = z.object({ task_id: text(100, 1) });
export const executionsQuery = z.object({ limit: z.coerce.number().int().min(1).max(1_000).optional() });

const time = z.iso.datetime({ precision: 3 });

export const taskRead = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string().nullable(),
  command: z.string(),
  args: z.string(),
  schedule: z.string().nullable(),
  timezone: z.string(),
  enabled: z.boolean(),
  priority,
  notifyOn: z.string(),
  lastRun: time.nullable(),
  nextRun: time.nullable(),
  createdAt: time,
  updatedAt: time,
});
taskRead.register(z.globalRegistry, { id: 'Task' });
export type Task = z.infer<typeof taskRead>;

export function taskShape(row: TaskProcess): Task {
  const { name, description, command, args, schedule, timezone, priority, notifyOn } = wordsOf(row);
  return {
    ...{ id: row.id, name, description, command, args, schedule, timezone, enabled: row.enabled, priority },
    notifyOn: notifyOn.join(','),
    lastRun: row.lastRun?.startedAt ?? null,
    nextRun: row.nextRunAt,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

export const executionStatuses = ['queued', 'running', 'completed', 'failed', 'cancelled'] as const;

/** The document's words for what a run is. */
export const statusWords: Record<RunStatus, (typeof executionStatuses)[number]> = {
  queued: 'queued',
  held: 'queued',
  running: 'running',
  succeeded: 'completed',
  failed: 'failed',
  'timed-out': 'failed',
  lost: 'failed',
  cancelled: 'cancelled',
  skipped: 'cancelled',
};

export const execution = z.object({
  id: z.string(),
  taskId: z.string(),
  status: z.enum(executionStatuses),
  progress: z.number().nullable(),
  error: z.string().nullable(),
  exitCode: z.int().nullable(),
  startedAt: time.nullable(),
  completedAt: time.nullable(),
  /** Milliseconds. */
  duration: z.int().nullable(),
  createdAt: time,
});
execution.register(z.globalRegistry, { id: 'TaskExecution' });

export function executionShape(row: RunRow): z.infer<typeof execution> {
  const { id, process, status, startedAt, finishedAt } = row;
  return {
    ...{ id, taskId: process?.id ?? '', status: statusWords[status], progress: progressOf(row), error: row.reason },
    ...{ exitCode: row.exitCode, startedAt, completedAt: finishedAt, duration: durationOf(row) },
    createdAt: row.requestedAt,
  };
}

export const durationOf = ({ startedAt, finishedAt }: Pick<RunRow, 'startedAt' | 'finishedAt'>): number | null =>
  startedAt && finishedAt ? Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)) : null;

/** Whoever has succeeded is through, whatever he said on the way. */
export const progressOf = ({ status, progress }: Pick<RunRow, 'status' | 'progress'>): number | null =>
  status === 'succeeded' ? 100 : progress;
