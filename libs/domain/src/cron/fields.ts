import { CronPattern } from 'croner';
import { CronError } from './cron-error.js';

/** A parsed expression, free of any zone. Day `d` of a month is bit `d - 1`, month `m` (January is 0) is bit `m`. */
export interface CronFields {
  /** Six texts, seconds first. */
  texts: readonly string[];
  seconds: readonly number[];
  minutes: readonly number[];
  hours: readonly number[];
  months: number;
  dates: number;
  lastDate: boolean;
  lastWorkday: boolean;
  /** The days written with a W: the working day nearest to each. */
  nearest: readonly number[];
  /** By weekday from Sunday: bits 0 to 4 for the first to fifth of the month, bit 5 for the last. */
  weekdays: readonly number[];
  /** Both day fields restrict, so a day that matches either will do. */
  eitherDay: boolean;
  /** A clock time, not an interval: it is neither lost nor doubled when the clocks change. */
  isFixed: boolean;
}

const LAST_OF_MONTH = 32;
const FIELDS = [
  ['second', '0-59'],
  ['minute', '0-59'],
  ['hour', '0-23'],
  ['day-of-month', '1-31, L, LW or a day with W'],
  ['month', '1-12 or JAN-DEC'],
  ['day-of-week', '0-7 or SUN-SAT, also with #1 to #5 or L'],
] as const;

export function readFields(expression: string): CronFields {
  const texts = split(expression);
  const pattern = parse(texts) ?? refuse(texts);
  const [, minute = '', hour = '', date = '', , weekday = ''] = texts;
  return {
    texts,
    seconds: positions(pattern.second),
    minutes: positions(pattern.minute),
    hours: positions(pattern.hour),
    months: bits(pattern.month),
    dates: bits(pattern.day),
    lastDate: pattern.lastDayOfMonth,
    lastWorkday: pattern.lastWeekday,
    nearest: positions(pattern.nearestWeekdays).map((index) => index + 1),
    weekdays: pattern.dayOfWeek.slice(0, 7),
    eitherDay: !date.startsWith('*') && !weekday.startsWith('*'),
    isFixed: !/[*/]/.test(minute + hour),
  };
}

function split(expression: string): string[] {
  const texts = expression.replaceAll('?', '*').split(/[ \t]+/);
  if (texts.length === 5) return ['0', ...texts];
  if (texts.length === 6) return texts;
  throw new CronError(
    `A cron expression has five fields (minute, hour, day of month, month, day of week), or six with seconds first; ` +
      `this one has ${texts.length}.`,
  );
}

// A pattern holds a table of 10,000 years, so it is read once and not kept.
function parse(texts: readonly string[]): CronPattern | null {
  // croner takes a leading + as its own way to AND the days, which crontab does not know.
  if (texts.some((text) => text.includes('+'))) return null;
  try {
    return new CronPattern(texts.join(' '), undefined, { mode: '6-part' });
  } catch {
    return null;
  }
}

// croner's own messages count days and months from 0, so the wrong field is looked for here and named in our words.
function refuse(texts: readonly string[]): never {
  for (const [index, [name, allowed]] of FIELDS.entries()) {
    const text = texts[index] ?? '';
    if (parse(FIELDS.map((_, other) => (other === index ? text : '*')))) continue;
    throw new CronError(
      `The ${name} field ${JSON.stringify(text)} is not valid. Use ${allowed}; lists (1,3), rising ranges (1-5) and ` +
        `steps over * or a range (*/2, 1-9/2) are allowed.`,
    );
  }
  throw new CronError('The expression is not a valid cron expression.');
}

function positions(flags: readonly number[]): number[] {
  return flags.flatMap((flag, index) => (flag ? [index] : []));
}

function bits(flags: readonly number[]): number {
  return positions(flags).reduce((mask, index) => mask | (1 << index), 0);
}

/** The first matching wall-clock time at or after `from` and before `until`, all in seconds as if the clock were UTC. */
export function nextLocal(fields: CronFields, from: number, until: number): number | null {
  const start = new Date(from * 1000);
  let year = start.getUTCFullYear();
  let month = start.getUTCMonth();
  let date = start.getUTCDate();
  let time = from - secondsAt(year, month, date);
  while (secondsAt(year, month, date) < until) {
    const days = (fields.months >> month) & 1 ? matchingDays(fields, year, month) : 0;
    for (; days >> (date - 1) > 0; date++, time = 0) {
      const found = (days >> (date - 1)) & 1 ? timeOfDay(fields, time) : null;
      if (found === null) continue;
      const local = secondsAt(year, month, date) + found;
      return local < until ? local : null;
    }
    [year, month, date, time] = [month === 11 ? year + 1 : year, (month + 1) % 12, 1, 0];
  }
  return null;
}

function secondsAt(year: number, month: number, date: number): number {
  return Date.UTC(year, month, date) / 1000;
}

function timeOfDay(fields: CronFields, from: number): number | null {
  for (const hour of fields.hours) {
    if (hour * 3600 + 3599 < from) continue;
    for (const minute of fields.minutes) {
      const start = hour * 3600 + minute * 60;
      if (start + 59 < from) continue;
      for (const second of fields.seconds) if (start + second >= from) return start + second;
    }
  }
  return null;
}

function matchingDays(fields: CronFields, year: number, month: number): number {
  const length = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const first = new Date(Date.UTC(year, month, 1)).getUTCDay();
  const byDate = datesOf(fields, length, first);
  const byWeekday = weekdaysOf(fields, length, first);
  return (fields.eitherDay ? byDate | byWeekday : byDate & byWeekday) & (0x7fffffff >> (31 - length));
}

function datesOf(fields: CronFields, length: number, first: number): number {
  let days = fields.dates;
  if (fields.lastDate) days |= 1 << (length - 1);
  if (fields.lastWorkday) days |= 1 << (workdayNear(length, length, first) - 1);
  for (const date of fields.nearest) if (date <= length) days |= 1 << (workdayNear(date, length, first) - 1);
  return days;
}

/** The working day nearest to a date, never in another month. */
function workdayNear(date: number, length: number, first: number): number {
  const weekday = (first + date - 1) % 7;
  if (weekday === 6) return date === 1 ? 3 : date - 1;
  if (weekday === 0) return date === length ? date - 2 : date + 1;
  return date;
}

function weekdaysOf(fields: CronFields, length: number, first: number): number {
  let days = 0;
  for (let index = 0; index < length; index++) {
    const wanted = fields.weekdays[(first + index) % 7] ?? 0;
    const isLast = index + 7 >= length;
    if ((wanted >> Math.floor(index / 7)) & 1 || (isLast && wanted & LAST_OF_MONTH)) days |= 1 << index;
  }
  return days;
}
