import { z } from 'zod';
import { type ProcessListed } from '#bus';
import { expressionOf, type RunRow } from '#domain';
import { viewerDate } from './surface.js';

export const processesQuery = z.object({ q: z.string().max(1_000).optional() });
export const runsQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100_000).optional(),
  before: z.coerce.number().int().min(1).optional(),
});

const date = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
  .nullable();
const flag = z.union([z.literal(0), z.literal(1)]);

export const viewerProcess = z.object({
  id: z.int(),
  name: z.string(),
  description: z.string(),
  last_run_at: date,
  last_run_status: z.enum(['Completed', 'Failed', 'Executing', 'Not available']),
  next_scheduled_run: date,
  schedule: z.enum(['Enabled', 'Disabled']),
  cron_expr: z.string(),
});
viewerProcess.register(z.globalRegistry, { id: 'ViewerProcess' });

export const viewerRun = z.object({
  id: z.int(),
  process_id: z.int(),
  start_requested: date,
  started: date,
  completed: date,
  scheduled: flag,
  server: z.string().nullable(),
  description: z.string(),
  ops: z.int(),
  failed: flag,
  failure_reason: z.string().nullable(),
});
viewerRun.register(z.globalRegistry, { id: 'ViewerRun' });

const failures = new Set<RunRow['status']>(['failed', 'timed-out', 'cancelled', 'lost']);

function statusWord(run: RunRow | null): 'Completed' | 'Failed' | 'Executing' | 'Not available' {
  if (!run) return 'Not available';
  if (run.status === 'succeeded') return 'Completed';
  return failures.has(run.status) ? 'Failed' : 'Executing';
}

export function processShape({
  number,
  name,
  description,
  lastRun,
  nextRunAt,
  enabled,
  triggers,
}: ProcessListed): z.infer<typeof viewerProcess> {
  const scheduled = triggers.length > 0;
  return {
    id: number,
    name,
    description: description ?? '',
    last_run_at: viewerDate(lastRun?.startedAt ?? null),
    last_run_status: statusWord(lastRun),
    next_scheduled_run: viewerDate(nextRunAt),
    schedule: enabled && scheduled ? 'Enabled' : 'Disabled',
    cron_expr: triggers[0] ? expressionOf(triggers[0]) : '',
  };
}

export function runShape(run: RunRow, description: string): z.infer<typeof viewerRun> {
  const failed = failures.has(run.status);
  return {
    id: run.number,
    process_id: run.process?.number ?? 0,
    start_requested: viewerDate(run.requestedAt),
    started: viewerDate(run.startedAt),
    completed: viewerDate(run.finishedAt),
    scheduled: run.scheduledFor ? 1 : 0,
    server: run.server,
    description,
    ops: run.ops,
    failed: failed ? 1 : 0,
    failure_reason: failed ? run.reason : null,
  };
}
