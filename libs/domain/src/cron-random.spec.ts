import { describe, expect, it } from '@jest/globals';
import { parseCron } from './cron.js';
import { generator, HOUR, MINUTE, randomExpression, readings, slowly } from './cron/slow-walk.harness.js';

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
const EXPRESSIONS_A_WINDOW = 10;

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
