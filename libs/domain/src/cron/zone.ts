import { CronError } from './cron-error.js';

/** A stretch of time with one UTC offset, in seconds; `before` is the offset just before `start`. */
export interface Stretch {
  start: number;
  end: number;
  offset: number;
  before: number;
}

/** The stretch that holds an instant. Stretches also end with each UTC year, where `before` equals `offset`. */
export type Zone = (instant: number) => Stretch;

const PROBE = 3 * 86_400;
const MAX_YEARS = 200;
// Node also takes ICU's old abbreviations, which mean another place than people think (ACT is Darwin, IST is India).
const SHORT_NAMES = new Set('CET EET EST GMT HST MET MST PRC ROC ROK UCT UTC WET'.split(' '));
const zones = new Map<string, Zone>();

export function zoneOf(name: string): Zone {
  // Names are case-insensitive; folding them bounds the map by the number of IANA names.
  const key = name.toLowerCase();
  const zone = zones.get(key) ?? byYear(offsetsOf(name));
  zones.set(key, zone);
  return zone;
}

function offsetsOf(name: string): (instant: number) => number {
  const refusal = `Unknown time zone ${JSON.stringify(name.slice(0, 64))}. Use an IANA name such as UTC or Europe/Vienna.`;
  const isAbbreviation = /^[a-z]{3}$/i.test(name) && !SHORT_NAMES.has(name.toUpperCase());
  if (isAbbreviation || !/^[a-z]/i.test(name) || /^systemv\//i.test(name)) throw new CronError(refusal);
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, year: 'numeric', timeZoneName: 'longOffset' });
  } catch {
    throw new CronError(refusal);
  }
  return (instant) => {
    const [, sign, hours, minutes, seconds] = /([+-])(\d+):(\d+)(?::(\d+))?$/.exec(format.format(instant * 1000)) ?? [];
    const size = Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
    return sign === '-' ? -size : size;
  };
}

function byYear(offsetAt: (instant: number) => number): Zone {
  const years = new Map<number, Stretch[]>();
  return (instant) => {
    const year = new Date(instant * 1000).getUTCFullYear();
    let stretches = years.get(year);
    if (!stretches) {
      if (years.size >= MAX_YEARS) years.clear();
      years.set(year, (stretches = stretchesOf(offsetAt, year)));
    }
    const found = stretches.find((stretch) => instant < stretch.end);
    if (!found) throw new CronError(`The year ${year} cannot be scheduled.`);
    return found;
  };
}

/** No zone has gone to another offset and back in under a week (checked daily from 1970; Noronha took seven days). */
function stretchesOf(offsetAt: (instant: number) => number, year: number): Stretch[] {
  const end = Date.UTC(year + 1, 0, 1) / 1000;
  const stretches: Stretch[] = [];
  let start = Date.UTC(year, 0, 1) / 1000;
  let before = offsetAt(start - 1);
  let offset = offsetAt(start);
  for (let at = start; at < end;) {
    const probe = Math.min(at + PROBE, end);
    const isSteady = offsetAt(probe) === offset;
    at = isSteady ? probe : firstChange(offsetAt, at, probe);
    if (isSteady && at < end) continue;
    stretches.push({ start, end: at, offset, before });
    [start, before, offset] = [at, offset, offsetAt(at)];
  }
  return stretches;
}

function firstChange(offsetAt: (instant: number) => number, from: number, to: number): number {
  const offset = offsetAt(from);
  let [same, changed] = [from, to];
  while (changed - same > 1) {
    const middle = Math.floor((same + changed) / 2);
    if (offsetAt(middle) === offset) same = middle;
    else changed = middle;
  }
  return changed;
}
