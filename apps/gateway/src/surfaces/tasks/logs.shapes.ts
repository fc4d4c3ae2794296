import { z } from 'zod';
import { type ActivityEntry } from '#bus';
import { activityTypes } from '#domain';

export const logsQuery = z.object({
  type: z.enum(activityTypes).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
  offset: z.coerce.number().int().min(0).max(10_000_000).default(0),
});

export const activityLog = z.object({
  id: z.string(),
  type: z.string(),
  message: z.string(),
  /** JSON text. */
  metadata: z.string(),
  createdAt: z.iso.datetime({ precision: 3 }),
  executionId: z.string().nullable(),
  taskId: z.string().nullable(),
});
activityLog.register(z.globalRegistry, { id: 'ActivityLog' });
export type ActivityLog = z.infer<typeof activityLog>;

export function logShape({ id, type, message, metadata, at, run, process }: ActivityEntry): ActivityLog {
  return { id, type, message, metadata, createdAt: at, executionId: run, taskId: process };
}
