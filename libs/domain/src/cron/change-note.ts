import { type CronFields } from './fields.js';
import { type Zone } from './zone.js';

/** What a change of the clocks does to a due instant (whole seconds), in words; null where they do nothing to it. */
export function changeNote(fields: CronFields, zone: Zone, at: number): string | null {
  const { start, end, offset, before } = zone(at);
  const shown = at + offset;
  if (at === start && offset > before && fields.isFixed)
    return `the clocks go forward from ${clock(start + before)} to ${clock(shown)}: what is due in between runs now`;
  const after = zone(end).offset;
  if (after < offset && shown >= end + after) {
    const twice = `${clock(shown)} comes twice on this day`;
    return fields.isFixed ? `${twice}: it runs the first time only` : `${twice}: this is the first`;
  }
  if (before > offset && shown < start + before) return `${clock(shown)} comes twice on this day: this is the second`;
  return null;
}

/** Seconds of a wall clock, kept as if it were UTC. */
const clock = (seconds: number) => new Date(seconds * 1000).toISOString().slice(11, 19).replace(/:00$/, '');
