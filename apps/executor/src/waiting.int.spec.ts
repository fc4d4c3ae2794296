import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { newId } from '#domain';
import { report } from '#admission';
import { type Context } from '#service';
import { fire, metaBy, processOf, request } from '../../../libs/testing/src/context.js';
import { type Claimed } from './attempt.js';
import { Claims, ids, work } from './claim.harness.js';
import { Lease } from './lease.js';
import { explainWait } from './waiting.js';

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
// However long a busy machine takes.
beforeEach(() => leases(`until = clock_timestamp() + interval '1 hour'`));

const leases = (set: string) => context.pool.query(`update executor_lease set ${set}`);
const limit = (owner: string, most: number | null) => context.ledger.call({ limit_set: [{ owner, most }] });
const wait = (run: string) => explainWait(context.pool, run);
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

/** Takes it out of the queue, so that it stands before nobody. */
const cancel = (run: string) =>
  report(context.ledger, run, { type: 'CancelRun', meta: metaBy(), data: { reason: null, any: true } });

async function taken(slots: number, expected: string[]): Promise<Claimed[]> {
  const answer = await claim(slots);
  expect(ids(answer)).toEqual(expected);
  return answer.claimed!;
}

test('what does not wait needs no words: never heard of, running, over', async () => {
  const run = await request(context, work);
  expect(await wait(newId())).toBeNull();
  expect(await wait(run)).toBe('is next: it starts as soon as a slot is free');
  const [claimed] = await taken(1, [run]);
  expect(await wait(run)).toBeNull();
  await finish(claimed!);
  expect(await wait(run)).toBeNull();
});

describe('its time', () => {
  test('one that is due later says when', async () => {
    const scheduledFor = inAnHour();
    const run = await request(context, { ...work, scheduledFor });
    expect(await wait(run)).toBe(`is due at ${scheduledFor}`);
    await cancel(run);
    expect(await wait(run)).toBeNull();
  });

  test('one that has fallen due waits for a slot, though no claim has looked at it yet', async () => {
    const run = await request(context, { ...work, scheduledFor: inAnHour() });
    await context.pool.query('update queue set ready_at = clock_timestamp() where run_id = $1', [run]);
    expect(await wait(run)).toMatch(/^is next/);
    await finishAll({ claimed: await taken(1, [run]) });
  });

  test('one that failed says when it is tried again', async () => {
    const policies = { retry: { attempts: 2, delay: '1h', backoff: 1 } };
    const run = await request(context, { ...work, policies });
    const [claimed] = await taken(1, [run]);
    await finish(claimed!, 3);
    const before = Date.now();
    const words = await wait(run);
    expect(words).toMatch(/^waits for its next attempt at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const due = Date.parse(words!.split(' ').at(-1)!);
    expect(due).toBeGreaterThan(before + 3_000_000);
    expect(due).toBeLessThanOrEqual(Date.now() + 3_600_000);
    await cancel(run);
  });
});

describe('somebody to run it', () => {
  test('no executor lives', async () => {
    const run = await request(context, work);
    await leases(`until = clock_timestamp() - interval '1 second'`);
    expect(await wait(run)).toBe('no executor is running');
    await leases(`until = clock_timestamp() + interval '1 hour'`);
    expect(await wait(run)).toMatch(/^is next/);
    await cancel(run);
  });

  test('none of those that live serves its queue', async () => {
    const named = await request(context, { ...work, policies: { queue: 'gpu' } });
    const plain = await request(context, work);
    expect(await wait(named)).toMatch(/^is next/);
    await leases(`queues = '{default,night}'`);
    expect(await wait(named)).toBe('no executor serves the queue "gpu"');
    expect(await wait(plain)).toMatch(/^is next/);
    const going = await taken(8, [plain]);
    // One that serves it, but is dead, is no help; one that lives is.
    await new Lease(context.pool, 'gpu', 'host', ['gpu']).take();
    await context.pool.query(`update executor_lease set until = 'epoch' where executor = 'gpu'`);
    expect(await wait(named)).toBe('no executor serves the queue "gpu"');
    await leases(`until = clock_timestamp() + interval '1 hour'`);
    expect(await wait(named)).toMatch(/^is next/);
    const answer = await claim(8, 0, 'gpu');
    expect(ids(answer)).toEqual([named]);
    await finishAll(answer);
    await context.pool.query(`delete from executor_lease where executor = 'gpu'`);
    await leases('queues = null');
    await finishAll({ claimed: going });
  });
});

test('a run of the same process before it is named, until it ends', async () => {
  const process = processOf('one at a time');
  const first = await request(context, { ...work, process });
  const going = await taken(1, [first]);
  const queues = await fire(context, 'one at a time', -1_000, { ...work, policies: { overlap: 'queue' } });
  const freely = await fire(context, 'one at a time', -1_000, { ...work, policies: { overlap: 'allow' } });
  expect(await wait(queues)).toBe(`waits for the run before it, ${first}, to end`);
  expect(await wait(freely)).not.toContain(first);
  await finishAll({ claimed: await taken(8, [freely]) });
  await finishAll({ claimed: going });
  expect(await wait(queues)).toMatch(/^is next/);
  await finishAll({ claimed: await taken(8, [queues]) });
});

describe("its owner's limit", () => {
  const by = (owner: string, more: object = {}) => request(context, { ...work, owner, ...more });

  test('his own, or the one for all; what weighs nothing is not held by it', async () => {
    await limit('ben', 2);
    const bens = [await by('ben'), await by('ben'), await by('ben')];
    const going = await taken(8, bens.slice(0, 2));
    const light = await request(context, { owner: 'ben' });
    expect(await wait(bens[2]!)).toBe('its owner has 2 runs going, and the limit is 2');
    expect(await wait(light)).not.toContain('limit');
    await cancel(light);
    // Lowered it stops nobody, and the words say how it is.
    await limit('ben', 1);
    expect(await wait(bens[2]!)).toBe('its owner has 2 runs going, and the limit is 1');
    await limit('ben', null);
    await limit('', 2);
    expect(await wait(bens[2]!)).toBe('its owner has 2 runs going, and the limit is 2');
    const eve = await by('eve');
    expect(await wait(eve)).not.toContain('limit');
    await cancel(eve);
    await limit('', 100);
    expect(await wait(bens[2]!)).toMatch(/^is next/);
    await finishAll({ claimed: going });
    await finishAll({ claimed: await taken(8, [bens[2]!]) });
  });

  test('one run going is one run', async () => {
    await limit('ben', 1);
    const bens = [await by('ben'), await by('ben')];
    const going = await taken(8, bens.slice(0, 1));
    expect(await wait(bens[1]!)).toBe('its owner has 1 run going, and the limit is 1');
    await finishAll({ claimed: going });
    await limit('ben', null);
    await finishAll({ claimed: await taken(8, [bens[1]!]) });
  });
});

describe('its place', () => {
  test('those of its queue that go before it are counted: by priority, then by age; not those due later', async () => {
    const [first, second, third] = [
      await request(context, work),
      await request(context, work),
      await request(context, work),
    ];
    const others = [
      await request(context, { ...work, scheduledFor: inAnHour() }),
      await request(context, { ...work, policies: { queue: 'elsewhere', priority: 10 } }),
    ];
    expect(await wait(first)).toMatch(/^is next/);
    expect(await wait(second)).toBe('waits for a free slot; 1 run is before it');
    expect(await wait(third)).toBe('waits for a free slot; 2 runs are before it');
    const urgent = await request(context, { ...work, policies: { priority: 9 } });
    expect(await wait(urgent)).toMatch(/^is next/);
    expect(await wait(third)).toBe('waits for a free slot; 3 runs are before it');
    for (const run of [first, second, third, ...others, urgent]) await cancel(run);
  });

  test('beyond a thousand it is not counted further', async () => {
    const text = `insert into queue (run_id, owner, priority, ready_at, rank, overlap, weight, correlation, work)
      select gen_random_uuid(), 'many', 5, clock_timestamp(), clock_timestamp() - interval '1 day', 'allow', 1, 'c', '{}'
      from generate_series(1, $1)`;
    const run = await request(context, work);
    await context.pool.query(text, [999]);
    expect(await wait(run)).toBe('waits for a free slot; 999 runs are before it');
    await context.pool.query(text, [2_000]);
    expect(await wait(run)).toBe('waits for a free slot; 1000 or more runs are before it');
    await context.pool.query(`delete from queue where owner = 'many'`);
    await cancel(run);
  });
});
