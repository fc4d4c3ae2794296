import { type CronFields, nextLocal } from './fields.js';
import { type Stretch, type Zone } from './zone.js';

const DAY = 86_400;
/** Every date and weekday that exists comes round within 40 years: 29 February on a given weekday, across 2100. */
const HORIZON = 100 * 366 * DAY;

/**
 * The first instant after `after` (both in whole seconds) at which the fields fire. Each stretch of constant offset
 * is searched on its own wall clock, so what a clock change does is decided only where two stretches meet.
 */
export function nextFire(fields: CronFields, zone: Zone, after: number): number | null {
  const horizon = after + HORIZON;
  for (let from = after + 1; from < horizon;) {
    const stretch = zone(from);
    if (fields.isFixed && from === stretch.start && skipsATime(fields, stretch)) return from;
    const local = nextLocal(fields, firstLocal(fields, stretch, from), horizon + DAY);
    if (local === null) return null;
    if (local < stretch.end + stretch.offset) return local - stretch.offset;
    from = resumeAt(stretch, from, local);
  }
  return null;
}

/** The clock jumped forward over a time that should have fired. */
function skipsATime(fields: CronFields, { start, offset, before }: Stretch): boolean {
  return offset > before && nextLocal(fields, start + before, start + offset) !== null;
}

/** Where to start on this stretch's wall clock; a fixed time passes over what the stretch before has shown already. */
function firstLocal(fields: CronFields, { start, offset, before }: Stretch, from: number): number {
  return fields.isFixed ? Math.max(from + offset, start + before) : from + offset;
}

/**
 * With no match up to `local`, nothing fires before a day short of it (offsets stay under a day). Only a search begun
 * within the last day may not jump: the clock can go back over times that it did not see.
 */
function resumeAt(stretch: Stretch, from: number, local: number): number {
  return stretch.end - from >= DAY ? Math.max(stretch.end, local - DAY) : stretch.end;
}
