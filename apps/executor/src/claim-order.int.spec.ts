import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { report } from '#admission';
import { type Context } from '#service';
import { eventsOf, eventually, fire, metaBy, processOf, request } from '../../../libs/testing/src/context.js';
import { type Claimed } from './attempt.js';
import { Claims, ids, work, type Answer } from './claim.harness.js';
import { Lease } from './lease.js';

let claims: Claims;
let context: Context;
let claim: Claims['claim'];
let finish: Claims['finish'];
let finishAll: Claims['finishAll'];

beforeAll(async () => {
  claims = await Claims.open();
  ({ context, claim, finish, finishAll } = claims);
});
afterAll(() => claims.close());

test('a minute of waiting is worth a step of priority: what waits long enough goes before all that came later', async () => {
  const [old, newer] = [await request(context, work), await request(context, { ...work, policies: { priority: 9 } })];
  const ageBy = (run: string, minutes: number) =>
    context.pool.query(`update queue set rank = rank - $2 * interval '1 minute' where run_id = $1`, [run, minutes]);
  await ageBy(old, 3);
  const behind = await claim(1);
  expect(ids(behind)).toEqual([newer]);
  const again = await request(context, { ...work, policies: { priority: 9 } });
  await ageBy(old, 2);
  const before = await claim(1);
  expect(ids(before)).toEqual([old]);
  const rest = await claim(1);
  expect(ids(rest)).toEqual([again]);
  for (const each of [behind, before, rest]) await finishAll(each);
});

test('an instant in the past is no way to the front', async () => {
  const first = await request(context, work);
  const scheduledFor = new Date(Date.now() - 3_600_000).toISOString();
  const second = await request(context, { ...work, scheduledFor });
  for (const expected of [first, second]) {
    const answer = await claim(1);
    expect(ids(answer)).toEqual([expected]);
    await finishAll(answer);
  }
});

test('a claim says how long until the next falls due', async () => {
  const scheduledFor = new Date(Date.now() + 60_000).toISOString();
  const later = await request(context, { ...work, scheduledFor });
  const sooner = await request(context, { ...work, scheduledFor: new Date(Date.now() + 30_000).toISOString() });
  const { wait, claimed } = await claim(5);
  expect(claimed).toBeUndefined();
  expect(wait).toBeGreaterThan(0);
  expect(wait).toBeLessThanOrEqual(30_000);
  await context.pool.query(`update queue set ready_at = clock_timestamp() where run_id = $1`, [sooner]);
  const answer = await claim(5);
  expect(ids(answer)).toEqual([sooner]);
  expect(answer.wait).toBeGreaterThan(30_000);
  await finishAll(answer);
  await report(context.ledger, later, { type: 'CancelRun', meta: metaBy(), data: { reason: null, any: true } });
  expect((await claim(5)).wait).toBeNull();
});

test('what falls due is taken when it does, not at the next look around', async () => {
  const due = new Map<string, number>();
  for (let i = 0; i < 9; i++) {
    const at = Date.now() + 300 + i * 110;
    due.set(await request(context, { ...work, scheduledFor: new Date(at).toISOString() }), at);
  }
  const taken: Claimed[] = [];
  const claimer = claims.claiming(() => 1, taken);
  claimer.poke();
  await eventually(() => taken.length === due.size, 20_000);
  await claimer.stop();
  const late = taken.map(({ run, at }) => Date.parse(at) - due.get(run)!).sort((a, b) => a - b);
  expect(late[0]).toBeGreaterThanOrEqual(0);
  expect(late[4]).toBeLessThan(250);
  await finishAll({ claimed: taken });
});

describe('the limit of an owner', () => {
  const limit = (owner: string, most: number | null) => context.ledger.call({ limit_set: [{ owner, most }] });
  const by = (owner: string, more: object = {}) => request(context, { ...work, owner, ...more });
  afterAll(() => limit('', 100));

  test('is held, whatever the slots; the others go past', async () => {
    await limit('ben', 2);
    const bens = [await by('ben'), await by('ben'), await by('ben')];
    const eve = await by('eve');
    const first = await claim(8);
    expect(ids(first)).toEqual([bens[0], bens[1], eve]);
    expect(await claim(8, 0, 'b')).toMatchObject({ capped: true, more: { heavy: false } });
    await finish(first.claimed![0]!);
    const next = await claim(8, 0, 'b');
    expect(ids(next)).toEqual([bens[2]]);
    await finishAll({ claimed: first.claimed!.slice(1) });
    await finishAll(next);
    await limit('ben', null);
  });

  test('the common one holds for those without their own; raised or lowered it counts at once and stops nobody', async () => {
    await limit('', 1);
    await limit('eve', 3);
    for (let i = 0; i < 4; i++) await Promise.all([by('ben'), by('eve')]);
    const first = await claim(8);
    const owners = async ({ claimed = [] }: Answer) => {
      const born = await Promise.all(claimed.map(async ({ run }) => (await eventsOf(context, run))[0]!));
      return born.map(({ data }) => (data as { owner: string }).owner).sort();
    };
    expect(await owners(first)).toEqual(['ben', 'eve', 'eve', 'eve']);
    await limit('', 2);
    const second = await claim(8);
    expect(await owners(second)).toEqual(['ben']);
    await limit('', 1);
    await finishAll(second);
    expect(ids(await claim(8))).toEqual([]);
    await finishAll(first);
    await limit('', 100);
    await limit('eve', null);
    const rest = await claim(8);
    expect(await owners(rest)).toEqual(['ben', 'ben', 'eve']);
    await finishAll(rest);
  });

  test('does not count what weighs nothing', async () => {
    await limit('ben', 1);
    const running = await by('ben');
    const held = await claim(1);
    expect(ids(held)).toEqual([running]);
    const light = await request(context, { owner: 'ben' });
    const answer = await claim(1, 1);
    expect(ids(answer)).toEqual([light]);
    await finishAll(held);
    await finishAll(answer);
    await limit('ben', null);
  });

  test('one that gave way leaves its room to the next of its owner in the claim after', async () => {
    await limit('ben', 2);
    const holding = await by('ben', { process: processOf('held') });
    const held = await claim(1);
    expect(ids(held)).toEqual([holding]);
    await fire(context, 'held', -60_000, { ...work, owner: 'ben' });
    const behind = await by('ben');
    expect(await claim(8)).toMatchObject({ claimed: [], more: { heavy: true } });
    const answer = await claim(8);
    expect(ids(answer)).toEqual([behind]);
    await finishAll(held);
    await finishAll(answer);
    await limit('ben', null);
  });
});

test('an executor takes what its queues hold, one without names everything', async () => {
  await new Lease(context.pool, 'gpu', 'host', ['gpu', 'night']).take();
  await new Lease(context.pool, 'plain', 'host', ['default']).take();
  const [gpu, night, plain, other] = [
    await request(context, { ...work, policies: { queue: 'gpu' } }),
    await request(context, { ...work, policies: { queue: 'night', priority: 7 } }),
    await request(context, work),
    await request(context, { ...work, policies: { queue: 'other' } }),
  ];
  for (const [executor, expected] of [
    ['gpu', [night, gpu]],
    ['plain', [plain]],
    ['a', [other]],
  ] as const) {
    const answer = await claim(8, 8, executor);
    expect(ids(answer)).toEqual(expected);
    await finishAll(answer);
  }
});
