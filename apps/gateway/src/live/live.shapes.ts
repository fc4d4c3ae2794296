/** The messages of the live sockets: what a client may send, what it is answered, and what it is told. */
import { z } from 'zod';
import { nativeEvent } from '../surfaces/native/native.shapes.js';

const position = z.string().regex(/^\d{1,18}$/);

export const subscribeMessage = z.strictObject({
  room: z.string().regex(/^(events|(run|process):[0-9a-f-]{36})$/, 'must be events, run:<id> or process:<id>'),
  after: position.optional(),
  output: z.strictObject({ attempt: z.int().min(0), seq: z.int().min(0) }).optional(),
});

/** Every message that a client may send, with who may, and what is acknowledged: the one table. */
export const socketMessages = {
  subscribe: {
    policy: 'session',
    shape: subscribeMessage,
    answer: z.object({ ok: z.literal(true), position }),
  },
  unsubscribe: {
    policy: 'session',
    shape: subscribeMessage.pick({ room: true }),
    answer: z.object({ ok: z.literal(true) }),
  },
} as const;

/** What is acknowledged instead of any other answer. */
export const socketRefusal = z.object({
  error: z.object({ code: z.string(), message: z.string(), correlationId: z.string() }),
});
socketRefusal.register(z.globalRegistry, { id: 'LiveRefusal' });

/** What whoever subscribed is told. */
export const told = {
  event: nativeEvent,
  output: z.object({
    run: z.uuid(),
    attempt: z.int(),
    seq: z.int(),
    stream: z.enum(['stdout', 'stderr']),
    text: z.string(),
    /** A sample of output beyond what is kept: never repeated. */
    live: z.literal(true).optional(),
  }),
} as const;
