const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const NTH = ['first', 'second', 'third', 'fourth', 'fifth'];
const MAX_CLOCK_TIMES = 6;

/** Six field texts, seconds first, as a plain English phrase. */
export function wordsOf(texts: readonly string[]): string {
  // A step of one is no step.
  const [second = '0', minute = '*', hour = '*', date = '*', month = '*', weekday = '*'] = texts.map((text) =>
    text === '*/1' ? '*' : text.toUpperCase(),
  );
  const time = clockTimes(second, minute, hour) ?? interval(second, minute, hour) ?? byField(second, minute, hour);
  const days = dayWords(date, weekday);
  const months = month === '*' ? '' : ` in ${phrase(month, 'month', monthName)}`;
  const everyDay = time.startsWith('at ') && /\d:\d/.test(time) && !days ? ' every day' : '';
  return `${time}${everyDay}${days}${months}`;
}

function clockTimes(second: string, minute: string, hour: string): string | null {
  if (![second, minute, hour].every((text) => /^[\d,]+$/.test(text))) return null;
  const times = hour.split(',').flatMap((h) =>
    minute.split(',').flatMap((m) =>
      second.split(',').map((s) => {
        const parts = /^0+$/.test(second) ? [h, m] : [h, m, s];
        return parts.map((part) => String(Number(part)).padStart(2, '0')).join(':');
      }),
    ),
  );
  return times.length > MAX_CLOCK_TIMES ? null : `at ${joined(times)}`;
}

/** Only what really is an even interval: every 7th minute is not every 7 minutes. */
function interval(second: string, minute: string, hour: string): string | null {
  const isOnTheMinute = /^0+$/.test(second);
  if (hour !== '*') return isOnTheMinute && /^0+$/.test(minute) ? every(hour, 'hour', 24) : null;
  if (isOnTheMinute && /^\d+$/.test(minute)) {
    return Number(minute) === 0 ? 'every hour' : `at minute ${Number(minute)} of every hour`;
  }
  return isOnTheMinute ? every(minute, 'minute', 60) : minute === '*' ? every(second, 'second', 60) : null;
}

function every(text: string, unit: string, size: number): string | null {
  if (text === '*') return `every ${unit}`;
  const step = Number(/^\*\/(\d+)$/.exec(text)?.[1] ?? 0);
  if (!step || size % step) return null;
  return step === size ? null : `every ${step} ${unit}s`;
}

function byField(second: string, minute: string, hour: string): string {
  const parts = [phrase(minute, 'minute'), phrase(hour, 'hour')];
  if (!/^0+$/.test(second)) parts.unshift(phrase(second, 'second'));
  const words = parts.join(' of ');
  return words.startsWith('every ') ? words : `at ${words}`;
}

function dayWords(date: string, weekday: string): string {
  const dates = date === '*' ? '' : phrase(date, 'day', dateName);
  const weekdays = weekday === '*' ? '' : phrase(weekday, 'weekday', weekdayName);
  if (!dates || !weekdays) return dates || weekdays ? ` on ${dates || weekdays}` : '';
  const isAnd = date.startsWith('*') || weekday.startsWith('*');
  return isAnd ? ` on ${dates} if it is ${weekdays}` : ` on ${dates} or on ${weekdays}`;
}

function phrase(text: string, unit: string, name = (value: string) => `${unit} ${Number(value)}`): string {
  return joined(text.split(',').map((item) => itemPhrase(item, unit, name)));
}

function itemPhrase(item: string, unit: string, name: (value: string) => string): string {
  const [range = '', step] = item.split('/');
  const [first = '', last] = range.split('-');
  // A suffix (#2, L) written after a range belongs to both of its ends.
  const suffix = unit === 'weekday' ? (/(#.*|(?<=[\dA-Z])L)$/.exec(range)?.[0] ?? '') : '';
  const ends = last === undefined ? name(first) : `${name(first + suffix)} through ${name(last)}`;
  if (!step) return range === '*' ? `every ${unit}` : ends;
  const steps = `every ${Number(step) === 1 ? '' : `${ordinal(Number(step))} `}${unit}`;
  return range === '*' ? steps : `${steps} from ${ends}`;
}

function monthName(value: string): string {
  const index = MONTHS.findIndex((month) => month.toUpperCase().startsWith(value));
  return MONTHS[index >= 0 ? index : Number(value) - 1] ?? value;
}

function weekdayName(value: string): string {
  const [, day = '', nth, last] = /^([A-Z]{3}|\d+)(?:#(.+))?(L)?$/.exec(value) ?? [];
  const index = WEEKDAYS.findIndex((weekday) => weekday.toUpperCase().startsWith(day));
  const weekday = WEEKDAYS[index >= 0 ? index : Number(day) % 7] ?? value;
  if (last || nth === 'L') return `the last ${weekday} of the month`;
  return nth ? `the ${NTH[Number(nth) - 1] ?? nth} ${weekday} of the month` : weekday;
}

function dateName(value: string): string {
  if (value === 'L') return 'the last day of the month';
  if (value === 'LW') return 'the last working day of the month';
  return value.endsWith('W') ? `the working day nearest day ${Number.parseInt(value, 10)}` : `day ${Number(value)}`;
}

function ordinal(value: number): string {
  const isTeen = value >= 11 && value <= 13;
  return `${value}${(isTeen ? undefined : ['th', 'st', 'nd', 'rd'][value % 10]) ?? 'th'}`;
}

function joined(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}
