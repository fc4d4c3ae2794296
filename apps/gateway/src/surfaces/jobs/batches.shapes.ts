import { z } from 'zod';
import { type BatchCard } from '#bus';
import { text, type RunStatus } from '#domain';
import { jobBody, jobStatuses, statusWords, type JobStatus } from './jobs.shapes.js';

export const batchBody = z.object({
  name: text(200, 1).nullable().optional(),
  description: text(2_000).nullable().optional(),
  jobs: z
    .array(jobBody.omit({ batch_id: true }))
    .min(1)
    .max(10_000),
});
export const batchForceBody = z.object({ status: z.enum(['success', 'failed', 'canceled']) });
export const batchesQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).optional(),
  cursor: z.string().max(100).optional(),
});

export const batchRead = z
  .object({
    id: z.uuid(),
    name: z.string(),
    description: z.string().nullable(),
    owner_id: z.string(),
    created_at: z.string(),
    /** `running` while a job of it runs or some have ended and others wait; `failed` when one did. */
    status: z.enum(jobStatuses),
    total_jobs: z.int(),
    pending_count: z.int(),
    running_count: z.int(),
    success_count: z.int(),
    failed_count: z.int(),
    canceled_count: z.int(),
  })
  .meta({ id: 'BatchRead' });

export function batchShape({ id, name, description, owner, createdAt, counts }: BatchCard): z.infer<typeof batchRead> {
  const of: Record<JobStatus, number> = { pending: 0, running: 0, success: 0, failed: 0, canceled: 0 };
  for (const [status, runs] of Object.entries(counts)) of[statusWords[status as RunStatus]] += runs;
  const total = Object.values(of).reduce((sum, runs) => sum + runs, 0);
  return {
    ...{
      id,
      name,
      description,
      owner_id: owner,
      created_at: createdAt,
      status: statusOf(of, total),
      total_jobs: total,
    },
    ...{ pending_count: of.pending, running_count: of.running, success_count: of.success },
    ...{ failed_count: of.failed, canceled_count: of.canceled },
  };
}

function statusOf(of: Record<JobStatus, number>, total: number): JobStatus {
  // One whose jobs were all purged waits for nothing.
  if (of.pending === total && total > 0) return 'pending';
  if (of.pending + of.running > 0) return 'running';
  if (of.failed > 0) return 'failed';
  return of.canceled > 0 ? 'canceled' : 'success';
}
