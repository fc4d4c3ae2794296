import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId, type RunEvent } from '#domain';
import { birth, report } from '#admission';
import { type Context } from '#service';
import {
  bornOf,
  eventsOf,
  eventually,
  fire,
  metaBy,
  processOf,
  request,
  typesOf,
} from '../../../libs/testing/src/context.js';
import { type Claimed } from './attempt.js';
import { Claims, ids, work } from './claim.harness.js';
import { Lease } from './lease.js';

let claims: Claims;
let context: Context;
let contexts: Context[];
let claim: Claims['claim'];
let finish: Claims['finish'];
let finishAll: Claims['finishAll'];

beforeAll(async () => {
  claims = await Claims.open();
  ({ context, contexts, claim, finish, finishAll } = claims);
});
afterAll(() => claims.close());

const inQueue = async () => (await context.pool.query('select from queue')).rowCount;

test('by priority, then by age, and no more than there are slots', async () => {
  const low = await request(context, { ...work, policies: { priority: 1 } });
  const first = await request(context, work);
  const second = await request(context, work);
  const high = await request(context, { ...work, policies: { priority: 9 } });
  for (const expected of [[high, first], [second], [low]]) {
    const answer = await claim(expected.length);
    expect(ids(answer)).toEqual(expected);
    await finishAll(answer);
  }
  expect(await claim(5)).toEqual({ more: { heavy: false, light: false }, capped: false, wait: null });
});

test('what one claim takes is started in the order of the claim: the answer and the ledger say the same', async () => {
  const asked: { run: string; priority: number; weight: number }[] = [];
  for (const [priority, weight] of [
    [1, 1],
    [5, 0],
    [9, 1],
    [0, 0],
    [9, 0],
    [5, 1],
    [10, 1],
  ] as const) {
    const run = await request(context, { ...(weight > 0 ? work : {}), policies: { priority } });
    asked.push({ run, priority, weight });
  }
  const expected = [...asked].sort((a, b) => b.priority - a.priority).map(({ run }) => run);
  const answer = await claim(4, 3);
  expect(ids(answer)).toEqual(expected);
  const { rows } = await context.pool.query<{ stream: string }>(
    `select stream from event where type = 'RunStarted' and stream = any($1) order by event.position`,
    [expected.map((id) => `run-${id}`)],
  );
  expect(rows.map(({ stream }) => stream)).toEqual(expected.map((id) => `run-${id}`));
  await finishAll(answer);
});

test('what weighs nothing takes no slot, and what weighs takes no light place', async () => {
  const heavy = await request(context, work);
  const light = await Promise.all([request(context), request(context), request(context)]);
  const answer = await claim(0, 2);
  expect(answer.claimed).toHaveLength(2);
  expect(answer.more).toEqual({ heavy: false, light: true });
  expect(ids(answer)).not.toContain(heavy);
  const rest = await claim(1, 0);
  expect(rest).toMatchObject({ claimed: [{ run: heavy }], more: { heavy: true, light: false } });
  const last = await claim(2, 2);
  const left = light.find((id) => !ids(answer).includes(id));
  expect(last).toMatchObject({ claimed: [{ run: left }], more: { heavy: false, light: false } });
  for (const each of [answer, rest, last]) await finishAll(each);
});

test('what is due later waits, by the database’s clock', async () => {
  const run = await fire(context, 'later', 400, work);
  const answer = await eventually(async () => {
    const found = await claim(5);
    return found.claimed && found;
  });
  expect(ids(answer)).toEqual([run]);
  const [born, started] = await eventsOf(context, run);
  expect(born).toMatchObject({ type: 'RunRequested' });
  expect(started).toMatchObject({ type: 'RunStarted', data: { attempt: 1, executor: 'a', server: 'host' } });
  if (born?.type === 'RunRequested' && started?.type === 'RunStarted') {
    expect(Date.parse(started.data.at)).toBeGreaterThanOrEqual(Date.parse(born.data.scheduledFor!));
  }
  await finishAll(answer);
});

test('what is due in a hundred years holds nobody up', async () => {
  const far = await fire(context, 'far', 100 * 365 * 86_400_000, work);
  const run = await request(context, work);
  const answer = await claim(5);
  expect([ids(answer), answer.wait]).toEqual([[run], 2_147_483_647]);
  await finishAll(answer);
  await report(context.ledger, far, { type: 'CancelRun', meta: metaBy(), data: { reason: null, any: true } });
});

test('a jitter holds a fire back, always by the same time', async () => {
  const scheduledFor = new Date().toISOString();
  // Some 50 s, so that no stall of the machine makes it due.
  const id = `0000c350${newId().slice(8)}`;
  await context.ledger.append(
    birth(id, bornOf({ ...work, process: processOf('jitter'), scheduledFor, policies: { jitter: '5m' } }), metaBy()),
  );
  const { rows } = await context.pool.query<{ ms: number }>(
    'select (extract(epoch from ready_at - $2::timestamptz) * 1000)::int as ms from queue where run_id = $1',
    [id, scheduledFor],
  );
  expect(rows).toEqual([{ ms: 0xc350 }]);
  expect(ids(await claim(5))).toEqual([]);
  await report(context.ledger, id, { type: 'CancelRun', meta: metaBy(), data: { reason: null, any: true } });
  expect(await inQueue()).toBe(0);
});

test('an executor without a lease, or with one that ran out, gets nothing', async () => {
  const run = await request(context, work);
  expect(await claim(5, 5, 'nobody')).toEqual({ fenced: true });
  await new Lease(context.pool, 'late', 'host').take();
  await context.pool.query(
    `update executor_lease set until = clock_timestamp() - interval '1 ms' where executor = 'late'`,
  );
  expect(await claim(5, 5, 'late')).toEqual({ fenced: true });
  await context.pool.query(`delete from executor_lease where executor = 'late'`);
  expect(await typesOf(context, run)).toEqual(['RunRequested']);
  await finishAll(await claim(5));
});

/** Three claimers go on until nothing is left; each ends what it took, a moment later. */
async function race(slots: number): Promise<Claimed[]> {
  const all: Claimed[] = [];
  const one = async (executor: string, from: Context) => {
    while ((await inQueue())! > 0) {
      const { claimed = [] } = await claim(slots, slots, executor, from);
      expect(claimed.length).toBeLessThanOrEqual(2 * slots);
      all.push(...claimed);
      await Promise.all(claimed.map((each) => finish(each, 0, from)));
    }
  };
  await Promise.all(['a', 'b', 'c'].map((name, i) => one(name, contexts[i]!)));
  return all;
}

interface Told {
  type: RunEvent['type'];
  stream: string;
  data: { cause?: string; reason?: string; process?: { name: string } | null };
}

/** The ledger itself says in which order runs of a process began and ended. */
async function mostAtOnce(after: string): Promise<{ most: Map<string, number>; told: Told[] }> {
  const told = (await context.ledger.readFrom(after, 10_000)) as unknown as Told[];
  const process = new Map<string, string>();
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  for (const { type, stream, data } of told) {
    if (type === 'RunRequested') process.set(stream, data.process?.name ?? '');
    const name = process.get(stream) ?? '';
    if (type === 'RunStarted') running.set(name, (running.get(name) ?? 0) + 1);
    if (type === 'RunSucceeded') running.set(name, running.get(name)! - 1);
    most.set(name, Math.max(most.get(name) ?? 0, running.get(name) ?? 0));
  }
  return { most, told };
}

describe('three claimers on one database', () => {
  test('never claim a run twice', async () => {
    const runs = await Promise.all(
      Array.from({ length: 300 }, (_, i) => request(contexts[i % 3]!, i % 10 === 0 ? {} : work)),
    );
    const claimed = await race(7);
    expect(claimed.map(({ run }) => run).sort()).toEqual(runs.sort());
    expect(new Set(claimed.map(({ epoch }) => epoch)).size).toBe(300);
  });

  test.each(['queue', 'skip'] as const)('never run two of a process: %s', async (overlap) => {
    const before = await context.ledger.head();
    const due = Array.from({ length: 120 }, (_, i) => ({ name: `${overlap}-${i % 12}`, ms: i - 1_000 }));
    const policies = { overlap };
    await Promise.all(
      due.map(({ name, ms }, i) => fire(contexts[i % 3]!, name, ms, { ...(i % 3 ? work : {}), policies })),
    );
    const claimed = await race(5);
    const { most, told } = await mostAtOnce(before);
    expect([...most].filter(([, runs]) => runs !== 1)).toEqual([]);
    const skipped = told.filter(({ type }) => type === 'RunSkipped');
    expect(claimed.length + skipped.length).toBe(120);
    if (overlap === 'queue') expect(skipped).toEqual([]);
    for (const { data } of skipped) {
      expect(data.reason).toBe(`the run before it, ${data.cause}, had not ended`);
      expect(told.some(({ type, stream }) => type === 'RunStarted' && stream === `run-${data.cause}`)).toBe(true);
    }
  });

  test('allow runs as many as there are slots', async () => {
    for (let i = 0; i < 4; i++) await fire(context, 'allowed', -10, { ...work, policies: { overlap: 'allow' } });
    const answer = await claim(3);
    expect(answer.claimed).toHaveLength(3);
    await finishAll(answer);
    await finishAll(await claim(3));
  });
});

describe('a process is taken', () => {
  test('by a run asked for by hand in the same claim', async () => {
    const due = await fire(context, 'by hand', -1_000, work);
    const manual = await request(context, { ...work, process: processOf('by hand'), policies: { priority: 1 } });
    const answer = await claim(5);
    expect(ids(answer)).toEqual([manual]);
    expect(await eventsOf(context, due)).toMatchObject([{}, { type: 'RunSkipped', data: { cause: manual } }]);
    await finishAll(answer);
  });

  test('by a run that waits for its retry; the retry itself is not skipped', async () => {
    const policies = { retry: { attempts: 2, delay: '1h' } };
    const first = await fire(context, 'again', -1_000, { ...work, policies });
    const [held] = (await claim(5)).claimed ?? [];
    await finish(held!, 1);
    const due = await fire(context, 'again', -10, work);
    await claim(5);
    expect(await eventsOf(context, due)).toMatchObject([{}, { type: 'RunSkipped', data: { cause: first } }]);
    const manual = await request(context, { ...work, process: processOf('again') });
    const byHand = await claim(5);
    expect(ids(byHand)).toEqual([manual]);
    await context.pool.query('update queue set ready_at = now() where run_id = $1', [first]);
    const retried = await claim(5);
    expect(retried.claimed).toMatchObject([{ run: first, attempt: 2 }]);
    await finishAll(byHand);
    await finishAll(retried);
  });
});

test('one slot gets past any number of fires that give way', async () => {
  const holding = await request(context, { ...work, process: processOf('busy') });
  const held = await claim(1);
  expect(ids(held)).toEqual([holding]);
  await Promise.all(Array.from({ length: 40 }, (_, i) => fire(context, 'busy', i - 1_000, work)));
  const behind = await request(context, work);
  const taken: Claimed[] = [];
  const claimer = claims.claiming(() => 1 - taken.length, taken);
  claimer.poke();
  // One a second, as it looks without being poked, would take it forty.
  await eventually(() => taken.length > 0, 15_000);
  await claimer.stop();
  expect(taken.map(({ run }) => run)).toEqual([behind]);
  expect((await context.pool.query<{ n: number }>('select count(*)::int as n from queue')).rows).toEqual([{ n: 2 }]);
  await finishAll({ claimed: taken });
  await finishAll(held);
});

test.each([
  ['queue', 1],
  ['skip', 1],
  ['allow', 1],
  ['allow', 20],
])('a claim reads what it takes, however many wait: %s, owners: %i', async (overlap, owners) => {
  await context.pool.query(`truncate queue;
    insert into queue (run_id, process_id, owner, priority, ready_at, rank, overlap, weight, correlation, work)
    select gen_random_uuid(), gen_random_uuid(), 'ann' || n % ${owners}, 5, now() - interval '1 s', now() - interval '301 s', '${overlap}', 1, 'c', '{}'
    from generate_series(1, 20000) n`);
  await context.pool.query(`analyze queue; update executor_lease set until = now() + interval '1 hour'`);
  const readBy = async (work: () => Promise<unknown>) => {
    const count = async () => {
      const text = `select pg_stat_force_next_flush(), pg_stat_clear_snapshot()`;
      await context.pool.query(text);
      const { rows } = await context.pool.query<{ n: string }>(
        `select seq_tup_read + idx_tup_fetch as n from pg_stat_user_tables where relname = 'queue'`,
      );
      return Number(rows[0]!.n);
    };
    const before = await count();
    await work();
    return (await count()) - before;
  };
  await claim(16);
  expect(await readBy(() => claim(16))).toBeLessThan(2_000);
  await context.pool.query('truncate queue');
});
