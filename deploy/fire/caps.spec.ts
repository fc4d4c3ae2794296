import { describe, expect, test } from '@jest/globals';
import { judgeLimits, longestIdle } from './caps.js';
import { type LedgerEvent } from './fold.js';

let position = 0;
const event = (stream: string, type: string, recorded: number, data: object = {}): LedgerEvent => ({
  ...{ position: String(++position), stream, version: 1, type, recorded },
  data: data as Record<string, unknown>,
});
const limit = (owner: string, most: number | null) =>
  event(`user-${owner}`, 'UserLimitChanged', 0, { maxConcurrentRuns: most });
const common = (most: number) => event('limit-default', 'LimitChanged', 0, { most });
const asked = (run: string, at: number, owner = 'ann', kind = 'command') =>
  event(`run-${run}`, 'RunRequested', at, { owner, action: { kind } });
const id = '0199f4a0-0000-7000-8000-00000000000';
const started = (run: string, at: number, place = 'host-1') =>
  event(`run-${run}`, 'RunStarted', at, { executor: `${place}-${id}${place.at(-1)}` });
const ended = (run: string, at: number, type = 'RunSucceeded') => event(`run-${run}`, type, at);
const retried = (run: string, at: number, dueAt: number) =>
  event(`run-${run}`, 'RunRetryScheduled', at, { dueAt: new Date(dueAt).toISOString() });

describe('limits', () => {
  const above = (...events: LedgerEvent[]) => judgeLimits(events).above.length;

  test('a start above the own limit is found, one that follows an end is none', () => {
    const two = [limit('ann', 1), asked('1', 1), asked('2', 1), started('1', 2)];
    expect(above(...two, started('2', 3))).toBe(1);
    expect(above(...two, ended('1', 3), started('2', 3))).toBe(0);
  });

  test('what holds without an own limit is the common one, 100 at first', () => {
    const many = Array.from({ length: 101 }, (_, n) => [asked(`${n}`, 1), started(`${n}`, 2)]).flat();
    expect(above(...many)).toBe(1);
    expect(above(common(101), ...many)).toBe(0);
    expect(above(common(101), limit('ann', 100), ...many)).toBe(1);
    expect(above(common(101), limit('ann', 100), limit('ann', null), ...many)).toBe(0);
  });

  test('limits are of each owner; a no-op takes no place', () => {
    const first = [common(1), asked('1', 1), started('1', 2)];
    expect(above(...first, asked('2', 1, 'ben'), started('2', 2))).toBe(0);
    expect(above(...first, asked('2', 1, 'ann', 'noop'), started('2', 2))).toBe(0);
  });

  test('a lowered limit is no fault, a start under it is', () => {
    const three = [common(2), asked('1', 1), asked('2', 1), asked('3', 1), started('1', 2), started('2', 2), common(1)];
    expect(judgeLimits([...three, ended('1', 3)])).toMatchObject({ above: [], lowered: 1 });
    expect(above(...three, ended('1', 3), started('3', 4))).toBe(1);
    expect(above(...three, ended('1', 3), ended('2', 3), started('3', 4))).toBe(0);
  });

  test.each(['RunFailed', 'RunTimedOut', 'RunCancelled', 'RunLost', 'RunForceCompleted'])('%s makes room', (type) => {
    const events = [common(1), asked('1', 1), asked('2', 1), started('1', 2), ended('1', 3, type), started('2', 4)];
    expect(judgeLimits(events)).toMatchObject({ above: [], filled: new Set(['ann 1']) });
  });
});

describe('free slots', () => {
  const there = (place = 'host-1', slots = 1, from = 0, until = Infinity) => ({ place, slots, from, until });
  const idle = (events: LedgerEvent[], presences = [there()], stalls: { from: number; until: number }[] = []) =>
    longestIdle(events, presences, stalls);

  test('counts from the request, or from when the slot was left', () => {
    expect(idle([asked('1', 1_000), started('1', 1_300)])).toMatchObject({ place: 'host-1', ms: 300, at: 1_000 });
    const second = [asked('1', 0), asked('2', 0), started('1', 0), ended('1', 500), started('2', 900)];
    expect(idle(second)).toMatchObject({ ms: 400, at: 500 });
  });

  test('nobody waits for a slot while none is free, nor one that another took', () => {
    const events = [asked('1', 0), asked('2', 0), asked('3', 0), started('1', 0), started('2', 600, 'host-2')];
    expect(idle(events, [there(), there('host-2')]).ms).toBe(600);
    expect(idle([...events, ended('1', 5_000)], [there(), there('host-2')]).ms).toBe(600);
  });

  test('the slot that is free longest is taken first', () => {
    const events = [asked('1', 0), asked('2', 0), started('1', 700), started('2', 900)];
    expect(idle(events, [there('host-1', 2)])).toMatchObject({ ms: 900, at: 0 });
    const turns = [asked('1', 0), asked('2', 0), asked('3', 0), started('1', 0), started('2', 0)];
    const next = [
      ...turns,
      ended('1', 600),
      started('3', 1_100),
      asked('4', 1_100),
      ended('2', 1_200),
      started('4', 1_700),
    ];
    expect(idle(next, [there('host-1', 2)]).ms).toBe(500);
  });

  test('a run whose owner is at the limit waits for no slot, until the limit is raised', () => {
    const events = [common(1), asked('1', 0), asked('2', 0), started('1', 0)];
    const raised = { ...common(2), recorded: 4_000 };
    expect(idle([...events, ended('1', 5_000), started('2', 5_100)], [there('host-1', 2)]).ms).toBe(100);
    expect(idle([...events, raised, started('2', 4_200)], [there('host-1', 2)]).ms).toBe(200);
  });

  test('a retry waits from when it is due', () => {
    const failed = [asked('1', 0), started('1', 0), ended('1', 10, 'RunFailed'), retried('1', 10, 3_000)];
    expect(idle([...failed, started('1', 3_250)]).ms).toBe(250);
  });

  test('an executor that is gone has no slot; one that is back under a new name has what it left running', () => {
    const back = [there('host-1', 1, 0, 100), there('host-1', 1, 5_000)];
    expect(idle([asked('1', 200), started('1', 5_050)], back).ms).toBe(50);
    const adopted = [asked('1', 0), asked('2', 0), started('1', 0), ended('1', 6_000), started('2', 6_020)];
    expect(idle(adopted, back).ms).toBe(20);
  });

  test('the time in which the machine stood still is left out, and told', () => {
    const stalls = [
      { from: 900, until: 1_200 },
      { from: 1_500, until: 9_000 },
    ];
    expect(idle([asked('1', 1_000), started('1', 2_000)], [there()], stalls)).toMatchObject({ ms: 300, stalled: 700 });
  });
});
