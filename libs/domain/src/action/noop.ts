import { z } from 'zod';

/** Does nothing, at once: for measuring, and for trying out triggers and policies. */
export const noopAction = z.strictObject({ kind: z.literal('noop') });
