import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, quickest, type TestDatabase } from '#testing';
import { Follower, type FollowOptions } from './follow.js';
import {
  added,
  closeLedgers,
  ledgerTemplate,
  newStream,
  openLedger,
  tallies,
  until,
  type TestLedger,
} from './ledger.harness.js';
import { type Projection } from './projection.js';
import { type StoredEvent } from './stored.js';

let database: TestDatabase;
let own: TestLedger;
let followers: Follower[] = [];

beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  own = openLedger(database.url);
});
afterEach(async () => {
  await Promise.all(followers.map((follower) => follower.stop()));
  followers = [];
});
afterAll(async () => {
  await closeLedgers();
  await database.drop();
});

/** Starts from nothing: a fresh name at the newest position, an empty table. */
async function begin(name: string): Promise<void> {
  await own.pool.query('truncate tally_view');
  await own.pool.query('insert into checkpoint (name, position) values ($1, $2)', [name, await own.ledger.head()]);
}

function follow(projection: Projection, options: FollowOptions = {}, ledger = own.ledger): Follower {
  const follower = new Follower(ledger, projection, options);
  followers.push(follower);
  return follower;
}

const reached = async (...those: Follower[]) => {
  const head = BigInt(await own.ledger.head());
  await until(() => those.every(({ position }) => position >= head));
};
const rowOf = async (stream: string) =>
  (
    await own.pool.query<{ sum: number; events: number }>('select sum, events from tally_view where stream = $1', [
      stream,
    ])
  ).rows[0];
const checkpoint = async (name: string) =>
  (await own.pool.query<{ position: string }>('select position::text from checkpoint where name = $1', [name])).rows[0]!
    .position;

test('follows its categories only, and the checkpoint stands where the tables do', async () => {
  await begin('plain');
  const advanced: bigint[] = [];
  const follower = follow(tallies(undefined, 'plain'), { batch: 3, onAdvanced: (position) => advanced.push(position) });
  const [mine, other] = [newStream(), newStream('other')];
  await own.ledger.append(added(mine, 0, [1, 2, 3, 4]));
  await own.ledger.append(added(other, 0, [1]));
  follower.wake();
  await reached(follower);
  expect(await rowOf(mine)).toEqual({ sum: 10, events: 4 });
  expect(await rowOf(other)).toBeUndefined();
  const head = await own.ledger.head();
  await until(async () => (await checkpoint('plain')) === head);
  expect(advanced.every((position, i) => i === 0 || position >= advanced[i - 1]!)).toBe(true);
});

test('tables and checkpoint move together or not at all', async () => {
  await begin('together');
  const before = await checkpoint('together');
  let broken = true;
  const half = tallies(undefined, 'together');
  const projection: Projection = {
    ...half,
    async apply(target, events) {
      await half.apply(target, events);
      if (broken) throw Object.assign(new Error('the disk is full'), { code: '53100' });
    },
  };
  const troubles: unknown[] = [];
  const follower = follow(projection, { onTrouble: (error) => troubles.push(error) });
  const stream = newStream();
  await own.ledger.append(added(stream, 0));
  follower.wake();
  await until(() => troubles.length > 1);
  expect(await rowOf(stream)).toBeUndefined();
  expect(await checkpoint('together')).toBe(before);
  broken = false;
  await reached(follower);
  expect(await rowOf(stream)).toEqual({ sum: 1, events: 1 });
});

test('without a bell it looks each second', async () => {
  await begin('quiet');
  const follower = follow(tallies(undefined, 'quiet'));
  await until(() => follower.position > 0n);
  const seen = async () => {
    await own.ledger.append(added(newStream(), 0));
    await reached(follower);
  };
  expect(await quickest(3_000, seen)).toBeLessThan(3_000);
});

test('a bell wakes it at once, also one that rings while it works', async () => {
  await begin('rung');
  const follower = follow(tallies(undefined, 'rung'), { poll: 60_000 });
  const stream = newStream();
  for (let version = 0; version < 20; version++) {
    await own.ledger.append(added(stream, version));
    follower.wake();
    if (version % 3 === 0) await reached(follower);
  }
  await reached(follower);
  expect(await rowOf(stream)).toEqual({ sum: 20, events: 20 });
});

test('followers of one name never apply an event twice', async () => {
  await begin('twins');
  const other = openLedger(database.url);
  const twins = [own, own, other].map(({ ledger }) =>
    follow(tallies(undefined, 'twins'), { batch: 7, poll: 20 }, ledger),
  );
  const streams = Array.from({ length: 10 }, () => newStream());
  for (let round = 0; round < 30; round++) {
    await Promise.all(streams.map((stream) => own.ledger.append(added(stream, round * 2, [1, 1]))));
    twins.forEach((twin) => twin.wake());
  }
  await reached(...twins);
  for (const stream of streams) expect(await rowOf(stream)).toEqual({ sum: 60, events: 60 });
  expect(await checkpoint('twins')).toBe(await own.ledger.head());
});

test('a poison event parks its stream after five tries; the others go on, also after a restart', async () => {
  await begin('poisoned');
  let tries = 0;
  const isPoison = ({ by }: { by?: number }) => by === 666 && ++tries > 0;
  const troubles: string[] = [];
  const onTrouble = (_: unknown, what: string) => troubles.push(what);
  const streams = Array.from({ length: 20 }, () => newStream());
  const bad = streams[13]!;
  for (const [i, stream] of streams.entries())
    await own.ledger.append(added(stream, 0, stream === bad ? [1, 666, 3] : [1, 2, i]));
  const first = follow(tallies(isPoison, 'poisoned'), { onTrouble });
  await reached(first);
  const rows = await Promise.all(streams.map(rowOf));
  expect(rows.map((row) => row?.events)).toEqual(streams.map((stream) => (stream === bad ? 1 : 3)));
  const poison = (await own.ledger.read(bad))[1]!;
  expect(troubles).toEqual([`poisoned parks ${bad} at ${poison.position}`]);
  const parked = await own.pool.query("select stream, position::text, error from parked where name = 'poisoned'");
  expect(parked.rows).toEqual([{ stream: bad, position: poison.position, error: 'Error: poison' }]);
  await first.stop();
  const triesBefore = tries;
  await own.ledger.append(added(bad, 3));
  await own.ledger.append(added(streams[0]!, 3));
  await reached(follow(tallies(isPoison, 'poisoned'), { onTrouble }));
  expect(await rowOf(bad)).toEqual({ sum: 1, events: 1 });
  expect(await rowOf(streams[0]!)).toMatchObject({ events: 4 });
  expect(tries).toBe(triesBefore);
});

test('what fails by accident parks nothing', async () => {
  await begin('accident');
  let failures = 3;
  const follower = follow(tallies(() => failures-- > 0, 'accident'));
  const stream = newStream();
  await own.ledger.append(added(stream, 0));
  follower.wake();
  await reached(follower);
  expect(await rowOf(stream)).toEqual({ sum: 1, events: 1 });
  expect((await own.pool.query("select from parked where name = 'accident'")).rowCount).toBe(0);
});

test('a lost connection in the middle of a batch costs nothing', async () => {
  await begin('cut');
  let cuts = 3;
  const whole = tallies(undefined, 'cut');
  const projection: Projection = {
    ...whole,
    async apply(target, events: StoredEvent[]) {
      await whole.apply(target, events);
      if (cuts-- <= 0) return;
      const { rows } = await target.client.query<{ pid: number }>('select pg_backend_pid() as pid');
      await own.pool.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      await new Promise((resolve) => setTimeout(resolve, 30));
    },
  };
  const follower = follow(projection);
  const stream = newStream();
  await own.ledger.append(added(stream, 0, [1, 2, 3]));
  follower.wake();
  await reached(follower);
  expect(await rowOf(stream)).toEqual({ sum: 6, events: 3 });
  expect((await own.pool.query("select from parked where name = 'cut'")).rowCount).toBe(0);
});

test('stopped and started again it goes on where it was', async () => {
  await begin('restarted');
  const streams = Array.from({ length: 5 }, () => newStream());
  let writing = true;
  const writer = (async () => {
    for (let round = 0; writing; round++)
      await Promise.all(streams.map((stream) => own.ledger.append(added(stream, round))));
  })();
  for (let round = 0; round < 8; round++) {
    const follower = follow(tallies(undefined, 'restarted'), { batch: 11, poll: 5 });
    await new Promise((resolve) => setTimeout(resolve, 40));
    await follower.stop();
  }
  writing = false;
  await writer;
  await reached(follow(tallies(undefined, 'restarted'), { poll: 5 }));
  const folded = await own.pool.query(
    `select stream, sum((data ->> 'by')::int)::int as sum, count(*)::int as events from event
    where stream = any($1) group by stream order by stream`,
    [streams],
  );
  expect((await own.pool.query('select stream, sum, events from tally_view order by stream collate "C"')).rows).toEqual(
    folded.rows,
  );
});
