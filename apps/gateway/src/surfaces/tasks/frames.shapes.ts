/** The messages of `/ws`: what a client may send, and what it is told. */
import { z } from 'zod';
import { activityTypes } from '#domain';
import { executionStatuses } from './tasks.shapes.js';

const time = z.iso.datetime({ precision: 3 });
const frame = <T extends string, S extends z.ZodType>(type: T, data: S) =>
  z.object({ type: z.literal(type), data, timestamp: time });

/** Each id under both of its spellings: clients read either. */
const ids = { task_id: z.string(), taskId: z.string(), execution_id: z.string(), executionId: z.string() };
const status = z.enum(executionStatuses);

export const clientFrame = z.object({ type: z.literal('ping') });

export const serverFrames = {
  connected: frame('connected', z.object({ message: z.string(), client_count: z.int() })),
  pong: frame('pong', z.object({})),
  error: frame('error', z.object({ code: z.string(), message: z.string() })),
  terminal_output: frame(
    'terminal_output',
    z.object({
      ...ids,
      ...{ output: z.string(), line: z.string(), content: z.string(), stream: z.enum(['stdout', 'stderr']) },
      ...{ attempt: z.int(), seq: z.int() },
      /** A sample of output beyond what is kept: never repeated. */
      live: z.literal(true).optional(),
    }),
  ),
  task_status: frame('task_status', z.object({ ...ids, status, progress: z.number().nullable() })),
  execution_start: frame('execution_start', z.object({ ...ids, name: z.string(), attempt: z.int() })),
  execution_complete: frame(
    'execution_complete',
    z.object({ ...ids, status, duration: z.int().nullable(), exit_code: z.int().nullable() }),
  ),
  activity_log: frame(
    'activity_log',
    z.object({
      ...{ id: z.string(), type: z.enum(activityTypes), message: z.string(), metadata: z.string(), createdAt: time },
      ...{ taskId: z.string().nullable(), executionId: z.string().nullable() },
    }),
  ),
  notification: frame(
    'notification',
    z.object({
      ...{ title: z.string(), message: z.string(), priority: z.string(), tags: z.array(z.string()) },
      ...{ taskId: z.string(), executionId: z.string() },
    }),
  ),
} as const;

type Frames = { [K in keyof typeof serverFrames]: z.infer<(typeof serverFrames)[K]> };
export type Frame = Frames[keyof Frames];
export type FrameOf<K extends keyof Frames> = Frames[K];
