import { z } from 'zod';
import { type BatchCard } from '#bus';
import { runStatuses } from '#domain';
import { runBody } from './native.shapes.js';

export const batchBody = z.strictObject({
  name: z.string().min(1).max(200).optional(),
  runs: z
    .array(runBody.omit({ parameters: true }))
    .min(1)
    .max(10_000),
});

export const nativeBatch = z
  .object({
    id: z.uuid(),
    name: z.string(),
    description: z.string().nullable(),
    owner: z.string(),
    createdAt: z.string(),
    total: z.int(),
    /** Whether every run of it is over. */
    finished: z.boolean(),
    counts: z.object(Object.fromEntries(runStatuses.map((status) => [status, z.int()]))),
  })
  .meta({ id: 'Batch' });

export function nativeBatchShape({ counts, ...card }: BatchCard): z.infer<typeof nativeBatch> {
  const total = Object.values(counts).reduce((sum, runs) => sum + runs, 0);
  return { ...card, total, finished: counts.queued + counts.held + counts.running === 0, counts };
}
