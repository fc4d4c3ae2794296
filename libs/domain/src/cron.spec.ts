import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { CronError, describeCron, parseCron } from './cron.js';

/** One case a line: zone | expression | after | the instants due next | why. */
const lines: string[] = JSON.parse(readFileSync(new URL('./cron/golden.json', import.meta.url), 'utf8'));
const golden = lines.map((line) => {
  const [zone = '', expression = '', after = '', expected = '', why = ''] = line.split(' | ');
  return { zone, expression, after, expected: expected.split(' '), why };
});
const at = (text: string) => new Date(text);

describe('golden table', () => {
  it('covers at least 60 cases over 8 zones', () => {
    expect(golden.length).toBeGreaterThanOrEqual(60);
    expect(new Set(golden.map(({ zone }) => zone)).size).toBeGreaterThanOrEqual(8);
  });

  it.each(golden)('$zone $expression after $after: $why', ({ zone, expression, after, expected }) => {
    const schedule = parseCron(expression, zone);
    const found: string[] = [];
    for (let next = schedule.next(at(after)); next && found.length < expected.length; next = schedule.next(next)) {
      found.push(next.toISOString());
    }
    expect(found).toEqual(expected.map((text) => at(text).toISOString()));
    const last = found.at(-1) ?? '';
    expect(schedule.between(at(after), at(last), 100).map((date) => date.toISOString())).toEqual(found);
  });
});

describe('refusals', () => {
  it.each([
    ['', 'empty'],
    ['   ', 'empty'],
    [`${'0,'.repeat(124)}0 * * * *`, '256 bytes'],
    ['* * * *', 'this one has 4'],
    ['0 0 0 1 1 * 2027', 'this one has 7'],
    ['0 0\n* * *', 'this one has 4'],
    ['61 * * * *', 'minute field "61"'],
    ['60 * * * * *', 'second field "60"'],
    ['0 24 * * *', 'hour field "24"'],
    ['0 0 32 * *', 'day-of-month field "32"'],
    ['0 0 0 * *', 'day-of-month field "0"'],
    ['0 0 1 13 *', 'month field "13"'],
    ['0 0 * * 8', 'day-of-week field "8"'],
    ['0 0 * * FRI-MON', 'day-of-week field "FRI-MON"'],
    ['0 0 * * 1#6', 'day-of-week field "1#6"'],
    ['0 0 1 * +1', 'day-of-week field "+1"'],
    ['5/15 * * * *', 'minute field "5/15"'],
    ['*/0 * * * *', 'minute field "*/0"'],
    ['1,,2 * * * *', 'minute field "1,,2"'],
    ['-1 * * * *', 'minute field "-1"'],
    ['; * * * *', 'minute field ";"'],
    ['\u0000 * * * *', 'minute field "\\u0000"'],
    ['@reboot', '@reboot is not supported'],
    ['@every 5m', 'Use five fields'],
    ['0 0 30 2 *', 'never fires'],
    ['0 0 31 4,6 *', 'never fires'],
    ['0 0 30 2 */2', 'never fires'],
  ])('%j', (expression, reason) => {
    expect(() => parseCron(expression)).toThrow(CronError);
    expect(() => parseCron(expression)).toThrow(reason);
  });

  it('an interval that always falls into the gap', () => {
    expect(() => parseCron('*/30 2 * 3 SUNL', 'Europe/Vienna')).toThrow('never fires');
    expect(parseCron('30 2 * 3 SUNL', 'Europe/Vienna').next(at('2026-01-01T00:00Z'))).toEqual(at('2026-03-29T01:00Z'));
  });

  it.each(['Mars/Olympus', '', '+01:00', 'PST', 'IST', 'SystemV/PST8', 'UTC\n', 'x'.repeat(5_000)])(
    'zone %j',
    (zone) => {
      expect(() => parseCron('* * * * *', zone)).toThrow(CronError);
      expect(() => parseCron('@manual', zone)).toThrow('Use an IANA name');
    },
  );

  it('an invalid date', () => {
    expect(() => parseCron('* * * * *').next(new Date(Number.NaN))).toThrow(CronError);
  });
});

describe('schedules', () => {
  it('keep what was asked for, and default to UTC', () => {
    expect(parseCron(' @Daily ')).toMatchObject({ expression: '@Daily', zone: 'UTC' });
    expect(parseCron('0 0 * * *', 'Europe/Vienna').zone).toBe('Europe/Vienna');
  });

  it('@manual is never due', () => {
    const schedule = parseCron('@manual');
    expect(schedule.next(at('2026-01-01T00:00Z'))).toBeNull();
    expect(schedule.between(at('2026-01-01T00:00Z'), at('2027-01-01T00:00Z'), 10)).toEqual([]);
  });

  it('between excludes its start, includes its end and stops at the limit', () => {
    const hourly = parseCron('0 * * * *');
    expect(hourly.between(at('2026-01-01T00:00Z'), at('2026-01-01T02:00Z'), 9)).toEqual([
      at('2026-01-01T01:00Z'),
      at('2026-01-01T02:00Z'),
    ]);
    expect(hourly.between(at('2026-01-01T00:00Z'), at('2027-01-01T00:00Z'), 3)).toHaveLength(3);
    expect(hourly.between(at('2026-01-01T00:00Z'), at('2026-01-01T00:59Z'), 3)).toEqual([]);
  });

  it('are shared between callers', () => {
    expect(parseCron('7 7 * * *')).toBe(parseCron('7 7 * * *'));
    expect(parseCron('7 7 * * *', 'Europe/Vienna')).not.toBe(parseCron('7 7 * * *'));
    expect(() => parseCron('', 'UTC7 7 * * *')).toThrow(CronError);
  });
});

describe('words', () => {
  it.each([
    ['* * * * *', 'every minute'],
    ['*/5 * * * *', 'every 5 minutes'],
    ['*/1 * * * *', 'every minute'],
    ['*/7 * * * *', 'every 7th minute of every hour'],
    ['@hourly', 'every hour'],
    ['15 * * * *', 'at minute 15 of every hour'],
    ['0 */2 * * *', 'every 2 hours'],
    ['*/10 * * * * *', 'every 10 seconds'],
    ['* * * * * *', 'every second'],
    ['30 2 * * *', 'at 02:30 every day'],
    ['30 15 2 * * *', 'at 02:15:30 every day'],
    ['30 2 * * 1-5', 'at 02:30 on Monday through Friday'],
    ['30 2 * * mon-fri', 'at 02:30 on Monday through Friday'],
    ['0 9,17 * * 0,6', 'at 09:00 and 17:00 on Sunday and Saturday'],
    ['0 0 1 1,JUL *', 'at 00:00 on day 1 in January and July'],
    ['0 0 L * *', 'at 00:00 on the last day of the month'],
    ['0 0 LW * *', 'at 00:00 on the last working day of the month'],
    ['0 0 15W * *', 'at 00:00 on the working day nearest day 15'],
    ['0 0 * * MON#2', 'at 00:00 on the second Monday of the month'],
    ['0 0 * * FRIL', 'at 00:00 on the last Friday of the month'],
    ['0 0 13 * 5', 'at 00:00 on day 13 or on Friday'],
    ['0 0 */2 * 1', 'at 00:00 on every 2nd day if it is Monday'],
    ['* 2 * * *', 'every minute of hour 2'],
    ['5-50/15 1-3 * * *', 'every 15th minute from minute 5 through minute 50 of hour 1 through hour 3'],
  ])('%s', (expression, words) => {
    expect(describeCron(expression, 'Europe/Vienna')).toBe(`${words} (Europe/Vienna)`);
  });

  it('name a schedule without times too, and refuse what cannot be scheduled', () => {
    expect(describeCron('@manual')).toBe('only when started by hand');
    expect(() => describeCron('61 * * * *')).toThrow(CronError);
  });
});
