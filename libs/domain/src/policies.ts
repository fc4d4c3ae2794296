import { z } from 'zod';
import { duration, parseDuration } from './duration.js';

const second = 1_000;
const day = 86_400_000;

export const overlaps = ['allow', 'skip', 'queue', 'cancel-previous'] as const;
export type Overlap = (typeof overlaps)[number];

export const queueName = z.string().regex(/^[\w.-]{1,64}$/, 'must be letters, digits, _ . and -, 64 at most');

/** How a run is treated. Durations are text (`90s`); what is left out has the default named here. */
export const policies = z.strictObject({
  /** Default: none. */
  timeout: duration(1, 365 * day).optional(),
  retry: z
    .strictObject({
      /** All starts, the first included. Default 1. */
      attempts: z.int().min(1).max(10).optional(),
      /** Default 0. */
      delay: duration(0, 7 * day).optional(),
      /** The delay grows by this factor with each attempt. Default 1. */
      backoff: z.number().min(1).max(10).optional(),
    })
    .optional(),
  /** Default `skip` for scheduled fires; a manual run always runs. */
  overlap: z.enum(overlaps).optional(),
  /** Default `latest`. */
  catchUp: z.enum(['skip', 'latest', 'all']).optional(),
  /** Default `1d`. */
  catchUpWindow: duration(second, 366 * day).optional(),
  /** Default none: spreads fires over this time, the same way each time. */
  jitter: duration(0, 300 * second).optional(),
  /** 0 to 10, higher first. Default 5. */
  priority: z.int().min(0).max(10).optional(),
  /** Which executors may take it: those that serve this name. Default `default`. */
  queue: queueName.optional(),
  notify: z
    .strictObject({ on: z.array(z.enum(['start', 'completion', 'error', 'always', 'never'])).max(5) })
    .optional(),
});
export type Policies = z.infer<typeof policies>;

export const defaultPriority = 5;
export const defaultQueue = 'default';

const milliseconds = (value: string | undefined, otherwise: number) =>
  value === undefined ? otherwise : (parseDuration(value) ?? otherwise);

export const timeoutOf = (p: Policies) => (p.timeout === undefined ? null : milliseconds(p.timeout, 0));
export const attemptsOf = (p: Policies) => p.retry?.attempts ?? 1;
export const catchUpWindowOf = (p: Policies) => milliseconds(p.catchUpWindow, day);
export const jitterOf = (p: Policies) => milliseconds(p.jitter, 0);

/** Milliseconds to wait after attempt number `attempt` (from 1) has failed: delay x backoff^(attempt-1), a week at most. */
export function retryDelayAfter(p: Policies, attempt: number): number {
  return Math.min(milliseconds(p.retry?.delay, 0) * (p.retry?.backoff ?? 1) ** (attempt - 1), 7 * day);
}
