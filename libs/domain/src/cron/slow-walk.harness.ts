/**
 * A second, slow opinion: walks real time step by step, asks Intl what the wall clock shows and matches the field
 * texts anew. It shares nothing with the code under test but the expression.
 */
export const HOUR = 3_600_000;
export const MINUTE = 60_000;

/** Wall-clock readings are kept as if they were UTC milliseconds. */
export type Tick = { instant: number; local: number };

export function readings(zone: string, from: number, to: number, step: number): Tick[] {
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit' },
    ...{ hour: '2-digit', minute: '2-digit', second: '2-digit' },
  });
  const ticks: Tick[] = [];
  for (let instant = from; instant <= to; instant += step) {
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0] = format
      .format(instant)
      .split(/\D+/)
      .map(Number);
    ticks.push({ instant, local: Date.UTC(year, month - 1, day, hour, minute, second) });
  }
  return ticks;
}

function inField(text: string, value: number, low: number, high: number): boolean {
  return text.split(',').some((item) => {
    const [range = '', step = '1'] = item.split('/');
    const [first = '', last = first] = range.split('-');
    const [from, to] = range === '*' ? [low, high] : [Number(first), Number(last)];
    return value >= from && value <= to && (value - from) % Number(step) === 0;
  });
}

function dateMatches(text: string, date: Date): boolean {
  const day = date.getUTCDate();
  const next = new Date(date.getTime() + 24 * HOUR);
  return text.split(',').some((item) => {
    if (item === 'L') return next.getUTCDate() === 1;
    if (!item.endsWith('W')) return inField(item, day, 1, 31);
    const target = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), Number.parseInt(item, 10)));
    const moves = [0, -1, 1, -2, 2].map((move) => new Date(target.getTime() + move * 24 * HOUR));
    const nearest = moves.find((to) => to.getUTCMonth() === target.getUTCMonth() && ![0, 6].includes(to.getUTCDay()));
    return target.getUTCMonth() === date.getUTCMonth() && nearest?.getUTCDate() === day;
  });
}

function weekdayMatches(text: string, date: Date): boolean {
  const sevenths = Math.ceil(date.getUTCDate() / 7);
  const isLast = new Date(date.getTime() + 7 * 24 * HOUR).getUTCMonth() !== date.getUTCMonth();
  const [days = '', nth] = text.split('#');
  if (nth) return Number(days) % 7 === date.getUTCDay() && Number(nth) === sevenths;
  if (text.endsWith('L')) return Number.parseInt(text, 10) % 7 === date.getUTCDay() && isLast;
  return (
    inField(text, date.getUTCDay(), 0, 6) || (date.getUTCDay() === 0 && !text.startsWith('*') && inField(text, 7, 0, 7))
  );
}

/** Texts are read once into tables: what is compared is the meaning, and a walk has thousands of ticks. */
function matcher(expression: string): (local: number) => boolean {
  const texts = expression.split(' ');
  if (texts.length === 5) texts.unshift('0');
  const table = (index: number, low: number, high: number) =>
    Array.from({ length: high + 1 }, (_, value) => value >= low && inField(texts[index] ?? '', value, low, high));
  const [seconds, minutes, hours, months] = [table(0, 0, 59), table(1, 0, 59), table(2, 0, 23), table(4, 1, 12)];
  const [, , , date = '', , weekday = ''] = texts;
  const days = new Map<number, boolean>();
  const dayMatches = (midnight: number) => {
    const day = new Date(midnight);
    const both = [dateMatches(date, day), weekdayMatches(weekday, day)];
    return date[0] === '*' || weekday[0] === '*' ? both.every(Boolean) : both.some(Boolean);
  };
  return (local) => {
    const shown = new Date(local);
    if (!seconds[shown.getUTCSeconds()] || !minutes[shown.getUTCMinutes()] || !hours[shown.getUTCHours()]) return false;
    const midnight = local - (local % (24 * HOUR));
    if (!days.has(midnight)) days.set(midnight, dayMatches(midnight));
    return (days.get(midnight) ?? false) && (months[shown.getUTCMonth() + 1] ?? false);
  };
}

export function slowly(expression: string, ticks: readonly Tick[], step: number): number[] {
  const [minute, hour] = expression.split(' ').slice(-5);
  const isFixed = !/[*/]/.test(`${minute}${hour}`);
  const matches = matcher(expression);
  const due: number[] = [];
  let furthest = ticks[0]?.local ?? 0;
  for (const { instant, local } of ticks.slice(1)) {
    let fires = matches(local);
    if (isFixed) {
      if (local <= furthest) fires = false;
      for (let missed = furthest + step; missed < local; missed += step) fires ||= matches(missed);
    }
    if (fires) due.push(instant);
    furthest = Math.max(furthest, local);
  }
  return due;
}

export function generator(seed: number) {
  let state = seed;
  const below = (limit: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
  const pick = <T>(...options: [T, ...T[]]): T => options[below(options.length)] ?? options[0];
  return { below, pick };
}

export function randomExpression({ below, pick }: ReturnType<typeof generator>, near: Date): string {
  const number = (low: number, high: number) => low + below(high - low + 1);
  const range = (low: number, high: number) => {
    const from = number(low, high);
    return `${from}-${number(from, high)}`;
  };
  const field = (low: number, high: number, likely: number) =>
    pick(
      '*',
      String(likely),
      String(likely),
      String(number(low, high)),
      `${likely},${number(low, high)}`,
      range(low, high),
      `*/${number(2, high - low)}`,
      `${range(low, high)}/${number(1, 5)}`,
    );
  const day = Math.min(28, Math.max(1, near.getUTCDate() + number(-1, 1)));
  const weekday = near.getUTCDay();
  const dates = pick('*', '*', '*', field(1, 31, day), '*/2', 'L', `${day}W`, `${day},L`, `31W`);
  const nth = Math.ceil(near.getUTCDate() / 7);
  const weekdays = pick('*', '*', '*', field(0, 7, weekday), '*/2', '7', `${weekday}#${nth}`, `${weekday}L`);
  const months = pick('*', '*', field(1, 12, near.getUTCMonth() + 1));
  return `${field(0, 59, 30)} ${field(0, 23, number(0, 3))} ${dates} ${months} ${weekdays}`;
}
