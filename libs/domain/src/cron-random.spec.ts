import { describe, expect, it } from '@jest/globals';
import { parseCron } from './cron.js';

/**
 * A second, slow opinion: walks real time step by step, asks Intl what the wall clock shows and matches the field
 * texts anew. It shares nothing with the code under test but the expression.
 */
const CHANGES: [zone: string, day: string][] = [
  ['Europe/Vienna', '2026-03-29'],
  ['Europe/Vienna', '2026-10-25'],
  ['America/New_York', '2026-03-08'],
  ['America/New_York', '2026-11-01'],
  ['America/Santiago', '2026-04-05'],
  ['America/Santiago', '2026-09-06'],
  ['Australia/Lord_Howe', '2026-04-04'],
  ['Australia/Lord_Howe', '2026-10-03'],
  ['America/St_Johns', '2026-03-08'],
  ['America/St_Johns', '2026-11-01'],
  ['Pacific/Apia', '2011-12-30'],
  ['Pacific/Apia', '2012-03-31'],
  ['Africa/Cairo', '2026-04-23'],
  ['Africa/Cairo', '2026-10-29'],
  ['Africa/Casablanca', '2026-02-15'],
  ['Africa/Casablanca', '2026-03-22'],
  ['America/Sao_Paulo', '2018-11-04'],
  ['America/Sao_Paulo', '2019-02-17'],
  ['America/Nuuk', '2025-03-30'],
  ['Antarctica/Troll', '2026-10-25'],
  ['America/Noronha', '2000-10-08'],
  ['Asia/Kolkata', '2026-12-31'],
  ['UTC', '2028-02-29'],
];
const HOUR = 3_600_000;
const MINUTE = 60_000;
const EXPRESSIONS_A_WINDOW = 10;

/** Wall-clock readings are kept as if they were UTC milliseconds. */
type Tick = { instant: number; local: number };

function readings(zone: string, from: number, to: number, step: number): Tick[] {
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

function slowly(expression: string, ticks: readonly Tick[], step: number): number[] {
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

function generator(seed: number) {
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

function randomExpression({ below, pick }: ReturnType<typeof generator>, near: Date): string {
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

describe('against a slow walk through real time', () => {
  const seed = Number(process.env['CRON_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

  function compare(zone: string, from: number, to: number, step: number, expressions: readonly string[]) {
    const ticks = readings(zone, from, to, step);
    for (const expression of expressions) {
      const context = `CRON_SEED=${seed} ${zone} "${expression}"`;
      const found = (parsed(expression, zone)?.between(new Date(from), new Date(to), 1e6) ?? []).map(Number);
      expect(`${context} ${firstDifference(found, slowly(expression, ticks, step))}`).toBe(`${context} agrees`);
    }
  }

  it.each(CHANGES)('minute by minute: %s around %s', (zone, day) => {
    const near = new Date(`${day}T00:00Z`);
    const random = generator(seed + near.getTime() / HOUR + zone.length);
    const expressions = Array.from({ length: EXPRESSIONS_A_WINDOW }, () => randomExpression(random, near));
    compare(zone, near.getTime() - 14 * HOUR, near.getTime() + 34 * HOUR, MINUTE, expressions);
  });

  it.each(CHANGES.slice(0, 4))('second by second: %s on %s', (zone, day) => {
    const near = new Date(`${day}T00:00Z`);
    const random = generator(seed + zone.length);
    const seconds = () => random.pick('*/20', '15', '5,50', '10-12', '*');
    const expressions = Array.from({ length: 5 }, () => `${seconds()} ${randomExpression(random, near)}`);
    const change = near.getTime() + (zone.startsWith('America') ? 6 : 1) * HOUR;
    compare(zone, change - 1.2 * HOUR, change + 1.2 * HOUR, 1000, expressions);
  });
});

function firstDifference(found: readonly number[], expected: readonly number[]): string {
  const index = found.findIndex((instant, at) => instant !== expected[at]);
  if (index < 0 && found.length === expected.length) return 'agrees';
  const [got, wanted] = [found, expected].map(
    (list) => list[index < 0 ? Math.min(found.length, expected.length) : index],
  );
  const text = (instant?: number) => (instant === undefined ? 'nothing' : new Date(instant).toISOString());
  return `gives ${text(got)}, not ${text(wanted)}`;
}

function parsed(expression: string, zone: string) {
  try {
    return parseCron(expression, zone);
  } catch {
    return null;
  }
}
