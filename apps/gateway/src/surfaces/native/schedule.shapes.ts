import { z } from 'zod';
import { calendarWindows, text, trigger } from '#domain';

const given = z.iso.datetime({ offset: true });
const time = z.iso.datetime({ precision: 3 });
const day = 86_400_000;

export const previewBody = z.strictObject({
  trigger,
  count: z.int().min(1).max(100).default(10),
  /** Exclusive; now when left out. */
  from: given.optional(),
});
export const preview = z.object({
  words: z.string(),
  next: z.array(z.object({ at: time, note: z.string().nullable() })),
});

/** The last day when both ends are left out; a cursor is the last instant of the page before. */
export const ticksQuery = z.object({
  from: given.optional(),
  to: given.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  cursor: given.optional(),
  after: z
    .string()
    .regex(/^\d{1,18}$/, 'must be a position')
    .optional(),
});
export const tick = z.object({
  at: time,
  outcome: z.enum(['fired', 'skipped', 'held']),
  run: z.uuid().nullable(),
  reason: z.string().nullable(),
  cause: z.string().nullable(),
  text: z.string(),
});
tick.register(z.globalRegistry, { id: 'Tick' });

/** What of the past is asked for: nothing that is yet to come. */
export function rangeOf({ from, to, cursor }: z.infer<typeof ticksQuery>, now: Date): { from: string; to: string } {
  const end = Math.min(to ? Date.parse(to) : Infinity, now.getTime());
  const begin = cursor ?? from;
  return { from: new Date(begin ? Date.parse(begin) : end - day).toISOString(), to: new Date(end).toISOString() };
}

export const pauseBody = z.strictObject({ reason: text(500, 1), until: given.nullable().default(null) });
export const nativePause = z.object({
  paused: z.boolean(),
  reason: z.string().nullable(),
  since: time.nullable(),
  until: time.nullable(),
  by: z.string().nullable(),
});
nativePause.register(z.globalRegistry, { id: 'Pause' });

export const calendarChange = z.strictObject({
  description: text(2_000).nullable().optional(),
  windows: calendarWindows.optional(),
});
export const nativeCalendar = z.object({
  id: z.uuid(),
  name: z.string(),
  description: z.string().nullable(),
  windows: z.array(
    z.union([z.object({ from: time, to: time }), z.object({ cron: z.string(), zone: z.string(), for: z.string() })]),
  ),
  owner: z.string(),
});
nativeCalendar.register(z.globalRegistry, { id: 'Calendar' });
