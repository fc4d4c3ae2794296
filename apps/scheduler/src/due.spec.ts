import { describe, expect, test } from '@jest/globals';
import { parseCron, type Policies } from '#domain';
import { decide, type Block } from './due.js';

const minutely = parseCron('* * * * *');
const secondly = parseCron('* * * * * *');
const day = (text: string) => `2026-05-01T${text}Z`;
const missed = (count: number, first: string, last: string) => [{ reason: 'missed', cause: null, count, first, last }];
const due = (watermark: string, now: string, policies: Policies = {}, schedule = minutely) =>
  decide(schedule, new Date(watermark), new Date(now), policies);

describe('on time', () => {
  test('what fell due since the watermark fires, and the watermark is now', () => {
    expect(due(day('10:00:00.000'), day('10:01:00.200'))).toEqual({
      fires: [day('10:01:00.000')],
      skips: [],
      watermark: day('10:01:00.200'),
      next: day('10:02:00.000'),
    });
  });

  test('the watermark’s own instant is done, the present one is not', () => {
    expect(due(day('10:01:00.000'), day('10:02:00.000'))).toMatchObject({
      fires: [day('10:02:00.000')],
      watermark: day('10:02:00.000'),
      next: day('10:03:00.000'),
    });
  });

  test('nothing is due', () => {
    const decision = { fires: [], skips: [], next: day('10:01:00.000') };
    expect(due(day('10:00:00.200'), day('10:00:59.999'))).toMatchObject(decision);
    expect(due(day('10:00:00.200'), day('10:00:00.200'))).toMatchObject(decision);
  });

  test('a minute late is on time for every policy, a millisecond more is not', () => {
    for (const catchUp of ['skip', 'latest', 'all'] as const) {
      const edge = due(day('10:00:30.000'), day('10:02:00.000'), { catchUp });
      expect(edge).toMatchObject({ fires: [day('10:01:00.000'), day('10:02:00.000')], skips: [] });
    }
    const late = due(day('10:00:30.000'), day('10:02:00.001'), { catchUp: 'skip' });
    expect(late.fires).toEqual([day('10:02:00.000')]);
    expect(late.skips).toEqual(missed(1, day('10:01:00.000'), day('10:01:00.000')));
  });

  test('by hand only: never due', () => {
    const decision = due(day('10:00:00.000'), day('20:00:00.000'), {}, parseCron('@manual'));
    expect(decision).toEqual({ fires: [], skips: [], watermark: day('20:00:00.000'), next: null });
  });
});

describe('late', () => {
  const hourly = parseCron('0 * * * *');
  const slept = (policies: Policies, now = day('10:30:00.000')) => due(day('05:30:00.000'), now, policies, hourly);

  test('latest, unless the policy says otherwise: the newest fires, the older ones are missed', () => {
    for (const policies of [{}, { catchUp: 'latest' as const }]) {
      expect(slept(policies)).toEqual({
        fires: [day('10:00:00.000')],
        skips: missed(4, day('06:00:00.000'), day('09:00:00.000')),
        watermark: day('10:30:00.000'),
        next: day('11:00:00.000'),
      });
    }
  });

  test('latest adds nothing where one is on time', () => {
    expect(slept({}, day('10:00:05.000'))).toMatchObject({
      fires: [day('10:00:00.000')],
      skips: missed(4, day('06:00:00.000'), day('09:00:00.000')),
    });
  });

  test('skip fires what is on time only', () => {
    expect(slept({ catchUp: 'skip' })).toMatchObject({ fires: [], skips: [{ reason: 'missed', count: 5 }] });
    expect(slept({ catchUp: 'skip' }, day('10:00:05.000'))).toMatchObject({
      fires: [day('10:00:00.000')],
      skips: [{ reason: 'missed', count: 4 }],
    });
  });

  test('all fires each, oldest first, those on time last', () => {
    const { fires, skips } = slept({ catchUp: 'all' }, day('10:00:05.000'));
    expect(fires).toEqual([6, 7, 8, 9, 10].map((hour) => day(`${String(hour).padStart(2, '0')}:00:00.000`)));
    expect(skips).toEqual([]);
  });

  test('all is the newest hundred at most, beside those on time', () => {
    const { fires, skips } = due(day('05:00:00.000'), day('08:00:00.000'), { catchUp: 'all' });
    expect(fires).toHaveLength(102);
    expect(fires[0]).toBe(day('06:19:00.000'));
    expect(fires.at(-1)).toBe(day('08:00:00.000'));
    expect(skips).toEqual(missed(78, day('05:01:00.000'), day('06:18:00.000')));
  });

  test('what is older than the window is missed, its edge is not', () => {
    const window = (catchUpWindow: string, catchUp: 'latest' | 'all') => slept({ catchUp, catchUpWindow }).fires;
    expect(window('29m', 'latest')).toEqual([]);
    expect(window('30m', 'latest')).toEqual([day('10:00:00.000')]);
    expect(window('89m', 'all')).toEqual([day('10:00:00.000')]);
    expect(window('90m', 'all')).toEqual([day('09:00:00.000'), day('10:00:00.000')]);
    expect(slept({ catchUpWindow: '1s' }).skips).toMatchObject([{ count: 5 }]);
  });

  test('the window is a day unless set', () => {
    const yearly = parseCron('0 0 1 5 *');
    const since = '2026-04-01T00:00:00.000Z';
    expect(due(since, '2026-05-02T00:00:00.000Z', {}, yearly).fires).toEqual([day('00:00:00.000')]);
    expect(due(since, '2026-05-02T00:00:00.001Z', {}, yearly)).toMatchObject({
      fires: [],
      skips: [{ reason: 'missed', count: 1 }],
    });
  });
});

describe('blocked', () => {
  const hourly = parseCron('0 * * * *');
  const freeze = (from: string, to: string | null): ((instant: Date) => Block | null) => {
    const block = { reason: 'blackout' as const, cause: 'freeze', until: to === null ? null : new Date(day(to)) };
    return (instant) => (instant >= new Date(day(from)) && (to === null || instant < new Date(day(to))) ? block : null);
  };
  const blocked = (count: number, first: string, last: string) => ({
    ...{ reason: 'blackout', cause: 'freeze', count, first: day(first), last: day(last) },
  });
  const decided = (
    [watermark, now]: [string, string],
    policies: Policies,
    blockAt: ReturnType<typeof freeze>,
    schedule = hourly,
  ) => decide(schedule, new Date(day(watermark)), new Date(day(now)), policies, blockAt);

  test('an instant is skipped at once where the next one is far', () => {
    expect(decided(['09:30:00.000', '10:00:00.100'], {}, freeze('09:00:00.000', '12:00:00.000'))).toEqual({
      fires: [],
      skips: [blocked(1, '10:00:00.000', '10:00:00.000')],
      watermark: day('10:00:00.100'),
      next: day('11:00:00.000'),
    });
  });

  test('instants that follow closely are told of together, ten seconds or the block’s end later', () => {
    const block = freeze('10:00:00.000', '10:00:25.000');
    expect(decided(['10:00:00.100', '10:00:01.050'], {}, block, secondly)).toEqual({
      ...{ fires: [], skips: [], watermark: day('10:00:00.999'), next: day('10:00:11.000') },
    });
    expect(decided(['10:00:00.999', '10:00:11.020'], {}, block, secondly)).toEqual({
      fires: [],
      skips: [blocked(11, '10:00:01.000', '10:00:11.000')],
      watermark: day('10:00:11.020'),
      next: day('10:00:12.000'),
    });
    expect(decided(['10:00:21.000', '10:00:22.010'], {}, block, secondly)).toMatchObject({
      ...{ watermark: day('10:00:21.999'), next: day('10:00:25.000') },
    });
    expect(decided(['10:00:21.999', '10:00:25.010'], {}, block, secondly)).toMatchObject({
      fires: [day('10:00:25.000')],
      skips: [blocked(3, '10:00:22.000', '10:00:24.000')],
    });
  });

  test('what is free fires meanwhile', () => {
    const block = freeze('10:00:02.000', null);
    expect(decided(['10:00:00.000', '10:00:03.100'], {}, block, secondly)).toEqual({
      ...{ fires: [day('10:00:01.000')], skips: [] },
      ...{ watermark: day('10:00:01.999'), next: day('10:00:12.000') },
    });
  });

  test('is never caught up on; what was missed beside it is, and each says its own reason', () => {
    const night = freeze('06:30:00.000', '08:30:00.000');
    expect(decided(['04:30:00.000', '10:30:00.000'], {}, night)).toMatchObject({
      fires: [day('10:00:00.000')],
      skips: [
        ...missed(2, day('05:00:00.000'), day('06:00:00.000')),
        blocked(2, '07:00:00.000', '08:00:00.000'),
        ...missed(1, day('09:00:00.000'), day('09:00:00.000')),
      ],
    });
    expect(decided(['04:30:00.000', '08:10:00.000'], {}, night).fires).toEqual([day('06:00:00.000')]);
    expect(decided(['04:30:00.000', '10:30:00.000'], { catchUp: 'all' }, night).fires).toEqual(
      ['05', '06', '09', '10'].map((hour) => day(`${hour}:00:00.000`)),
    );
  });
});

/** As the clock does: from its own watermark, until nothing more is due. */
function recover(schedule: typeof minutely, from: Date, now: Date, policies: Policies) {
  const fires: string[] = [];
  let [missed, watermark] = [0, from];
  for (let next: Date | null = from; next && next <= now;) {
    const decision = decide(schedule, watermark, now, policies);
    expect(Date.parse(decision.watermark)).toBeGreaterThan(watermark.getTime());
    if (decision.next) expect(Date.parse(decision.next)).toBeGreaterThan(Date.parse(decision.watermark));
    fires.push(...decision.fires);
    missed += decision.skips.reduce((sum, { count }) => sum + count, 0);
    watermark = new Date(decision.watermark);
    next = decision.next ? new Date(decision.next) : null;
  }
  return { fires, missed };
}

describe('a huge gap', () => {
  const now = new Date(day('12:00:00.500'));
  const hours = (count: number) => new Date(now.getTime() - count * 3_600_000);

  test('one decision is bounded, the next goes on where it stopped, and every instant is fired or missed', () => {
    const first = decide(secondly, hours(3), now, { catchUp: 'skip' });
    expect(first).toEqual({
      fires: [],
      skips: missed(10_000, day('09:00:01.000'), day('11:46:40.000')),
      watermark: day('11:46:40.000'),
      next: day('11:46:41.000'),
    });
    const second = recover(secondly, new Date(first.watermark), now, { catchUp: 'skip' });
    expect([second.fires.length, second.missed]).toEqual([60, 740]);
  });

  // The two rules below do not hold across decisions yet: each decision catches up anew.
  test('latest is one for the whole gap, not one a decision', () => {
    expect(recover(secondly, hours(3), now, { catchUp: 'latest' }).fires).toHaveLength(60);
  });

  test('all is a hundred for the whole gap, not a hundred a decision', () => {
    expect(recover(secondly, hours(3), now, { catchUp: 'all' }).fires).toHaveLength(160);
  });
});

test('random schedules and outages: each due instant is decided once, always forward', () => {
  const seed = Number(process.env['DUE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const one = <T>(...of: T[]): T => of[below(of.length)]!;
  for (let round = 0; round < 60; round++) {
    const expression = `${one('*', '*/7', '0', '5,35')} ${one('*', '*/3', '2', '1-4')} * * ${one('*', '1-5', '0')}`;
    const schedule = parseCron(expression, one('UTC', 'Europe/Vienna', 'Australia/Lord_Howe'));
    const from = new Date(Date.UTC(2026, below(12), 1 + below(28), below(24), below(60), below(60), below(1_000)));
    const now = new Date(from.getTime() + 1 + below(one(120_000, 3_600_000, 2 * 86_400_000)));
    const policies: Policies = { catchUp: one('skip', 'latest', 'all'), catchUpWindow: one('1m', '1h', '1d') };
    const { fires, missed } = recover(schedule, from, now, policies);
    const instants = schedule.between(from, now, 1e6).map((instant) => instant.toISOString());
    const told = `DUE_SEED=${seed} ${expression} ${schedule.zone} ${from.toISOString()} to ${now.toISOString()}`;
    const ordered = [...new Set(fires)].sort();
    expect([told, fires, fires.length + missed]).toEqual([told, ordered, instants.length]);
    expect([told, fires.filter((instant) => !instants.includes(instant))]).toEqual([told, []]);
  }
});
