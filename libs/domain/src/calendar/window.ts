import { z } from 'zod';
import { parseCron } from '../cron.js';
import { duration, parseDuration } from '../duration.js';
import { cronProblem } from '../process/trigger.js';
import { type Window } from './calendar.events.js';

const minute = 60_000;
const day = 86_400_000;

/** `{"from": "2026-12-24T00:00:00Z", "to": "2026-12-27T00:00:00Z"}` or `{"cron": "0 22 * * FRI", "zone": "Europe/Vienna", "for": "2d"}`. */
export const window = z
  .strictObject({
    from: z.iso.datetime({ offset: true }).optional(),
    to: z.iso.datetime({ offset: true }).optional(),
    cron: z.string().min(1).max(256).optional(),
    zone: z.string().min(1).max(64).optional(),
    for: duration(minute, 366 * day).optional(),
  })
  .superRefine(({ from, to, cron, zone, for: length }, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (cron === undefined) {
      for (const [name, value] of Object.entries({ zone, for: length }))
        if (value !== undefined) refuse(name, 'belongs to a window that recurs, which needs cron');
      if (from === undefined) refuse('from', 'say when: from and to, or cron and for');
      else if (to === undefined) refuse('to', 'is missing');
      else if (Date.parse(to) <= Date.parse(from)) refuse('to', 'must be after from');
      return;
    }
    for (const [name, value] of Object.entries({ from, to }))
      if (value !== undefined) refuse(name, 'a window that recurs has no from and to');
    if (length === undefined) refuse('for', 'is missing: how long it lasts');
    const problem = cronProblem(cron, zone);
    if (problem) refuse('cron', problem);
  })
  .transform(({ from, to, cron, zone = 'UTC', for: length }): Window => {
    if (cron !== undefined) return { cron, zone, for: length! };
    return { from: new Date(from!).toISOString(), to: new Date(to!).toISOString() };
  });

/**
 * When the window that this instant lies in ends; null when it lies in none. Begins are in, ends are not. Windows that follow each
 * other without a gap are taken as one, but only until the end is `enough` milliseconds off: recurring ones may never leave a gap.
 */
export function endOfWindow(windows: readonly Window[], instant: Date, enough: number): Date | null {
  let end: Date | null = null;
  for (let from = instant; from.getTime() - instant.getTime() < enough; from = end) {
    const ends = windows.flatMap((each) => endOf(each, from) ?? []);
    if (ends.length === 0) return end;
    end = new Date(Math.max(...ends.map(Number)));
  }
  return end;
}

function endOf(window: Window, instant: Date): Date | null {
  if ('from' in window)
    return new Date(window.from) <= instant && instant < new Date(window.to) ? new Date(window.to) : null;
  const length = parseDuration(window.for) ?? 0;
  const schedule = parseCron(window.cron, window.zone);
  // The oldest that may still be open; younger ones are joined to it.
  const opened = schedule.next(new Date(instant.getTime() - length));
  return opened && opened <= instant ? new Date(opened.getTime() + length) : null;
}
