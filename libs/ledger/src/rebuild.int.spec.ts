import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { Follower } from './follow.js';
import {
  added,
  checksum,
  closeLedgers,
  ledgerTemplate,
  newStream,
  openLedger,
  tallies,
  until,
  type TestLedger,
} from './ledger.harness.js';
import { rebuild } from './rebuild.js';

let database: TestDatabase;
let own: TestLedger;
let follower: Follower | undefined;
const streams = Array.from({ length: 50 }, () => newStream());

beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  own = openLedger(database.url);
  for (let i = 0; i < 10; i++) {
    await Promise.all(
      streams.map((stream) =>
        own.ledger.append(
          added(
            stream,
            i * 20,
            Array.from({ length: 20 }, () => i),
          ),
        ),
      ),
    );
  }
});
afterEach(async () => {
  await follower?.stop();
  follower = undefined;
});
afterAll(async () => {
  await closeLedgers();
  await database.drop();
});

const reached = async () => {
  const head = BigInt(await own.ledger.head());
  await until(() => follower!.position >= head);
};
const indexes = async () =>
  (await own.pool.query(`select indexname, indexdef from pg_indexes where tablename = 'tally_view' order by indexname`))
    .rows;

/** Appends until told to stop; answers how many events it wrote. */
function writer(): { written: () => number; stop: () => Promise<number> } {
  let writing = true;
  let written = 0;
  const mine = streams.slice(0, 20);
  const work = (async () => {
    while (writing) {
      await Promise.all(mine.map((stream) => own.ledger.append(added(stream, null, [1, 2]))));
      written += mine.length * 2;
      follower?.wake();
    }
  })();
  return {
    written: () => written,
    stop: async () => {
      writing = false;
      await work;
      return written;
    },
  };
}

/** Reads in a loop, by a plain and by a prepared statement, and keeps what went wrong. */
function readers(): { reads: () => number; stop: () => Promise<{ failures: unknown[]; reads: number }> } {
  let reading = true;
  let reads = 0;
  const failures: unknown[] = [];
  const read = async (query: object) => {
    while (reading && failures.length === 0) {
      const { rowCount } = await own.pool
        .query(query as { text: string })
        .catch((error: unknown) => (failures.push(error), { rowCount: 1 }));
      if (rowCount === 0) failures.push('an empty table');
      reads++;
    }
  };
  const text = 'select stream, sum from tally_view where sum > 0 order by sum desc limit 5';
  const work = Promise.all([read({ text }), read({ text, name: 'prepared-reader' })]);
  return {
    reads: () => reads,
    stop: async () => {
      reading = false;
      await work;
      return { failures, reads };
    },
  };
}

test('rebuilds under load, twice: equal rows, stable names, readers never fail', async () => {
  follower = new Follower(own.ledger, tallies(), { poll: 50 });
  await reached();
  const before = await indexes();
  const load = writer();
  const looking = readers();
  try {
    // As often as it takes on a busy machine for the others to get their turns beside it.
    for (let round = 0; round < 2 || load.written() <= 100 || looking.reads() <= 20; round++) {
      const progress: [bigint, bigint][] = [];
      const onProgress = (done: bigint, head: bigint) => void progress.push([done, head]);
      const at = await rebuild(own.ledger, tallies(), { batch: 1_000, onProgress });
      expect(progress.length).toBeGreaterThan(9);
      expect(progress.every(([done, head]) => done <= head)).toBe(true);
      expect(at).toBeGreaterThanOrEqual(10_000n);
    }
  } finally {
    expect(await load.stop()).toBeGreaterThan(100);
    const { failures, reads } = await looking.stop();
    expect(failures).toEqual([]);
    expect(reads).toBeGreaterThan(20);
  }
  await reached();
  await follower.stop();
  const live = await checksum(own.pool);
  await rebuild(own.ledger, tallies());
  expect(await checksum(own.pool)).toBe(live);
  expect(await indexes()).toEqual(before);
  expect(before.map(({ indexname }) => indexname)).toEqual(['tally_by_sum', 'tally_recent', 'tally_view_pkey']);
  const { rows } = await own.pool.query(`select reloptions from pg_class where relname = 'tally_view'`);
  expect(rows).toEqual([{ reloptions: ['fillfactor=70'] }]);
  expect((await own.pool.query(`select to_regclass('tally_view_next') as left`)).rows).toEqual([{ left: null }]);
});

test('killed half-way the live table stands, and the next one begins anew', async () => {
  const live = await checksum(own.pool);
  const victim = openLedger(database.url);
  const killed = rebuild(victim.ledger, tallies(), {
    batch: 500,
    onProgress: (done) => {
      if (done > 3_000n) throw new Error('killed');
    },
  });
  await expect(killed).rejects.toThrow('killed');
  expect(Number((await own.pool.query('select count(*) as n from tally_view_next')).rows[0].n)).toBeGreaterThan(0);
  expect(await checksum(own.pool)).toBe(live);
  await rebuild(own.ledger, tallies());
  expect(await checksum(own.pool)).toBe(live);
});

test('a rebuild that has lost its guard stops before it harms the next one', async () => {
  const live = await checksum(own.pool);
  const victim = openLedger(database.url);
  const ends: Promise<unknown>[] = [];
  const stopped = rebuild(victim.ledger, tallies(), {
    batch: 200,
    onProgress: () => {
      const text = `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database =
        (select oid from pg_database where datname = current_database())`;
      if (ends.length === 0) ends.push(own.pool.query(text));
    },
  });
  await expect(stopped).rejects.toThrow('lost its connection');
  await Promise.all(ends);
  await rebuild(own.ledger, tallies());
  expect(await checksum(own.pool)).toBe(live);
});

test('only one rebuild of a name at a time', async () => {
  let second: Promise<unknown> | undefined;
  const onProgress = () => void (second ??= expect(rebuild(own.ledger, tallies())).rejects.toThrow('under way'));
  await rebuild(own.ledger, tallies(), { batch: 200, onProgress });
  await second;
  expect(second).toBeDefined();
});

test('a long query is let finish, and nobody queues behind the swap', async () => {
  const reader = await own.pool.connect();
  await reader.query('begin');
  await reader.query('select count(*) from tally_view');
  let done = false;
  const rebuilt = rebuild(own.ledger, tallies()).then(() => (done = true));
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(done).toBe(false);
  // Behind a swap that waits it would wait for the commit below.
  await own.pool.query('select count(*) from tally_view');
  await reader.query('commit');
  reader.release();
  await rebuilt;
});

test('what was parked is taken in again, also by a follower that runs', async () => {
  let poisoned = true;
  follower = new Follower(
    own.ledger,
    tallies(({ by }) => poisoned && by === 666),
    { poll: 50 },
  );
  const stream = newStream();
  await own.ledger.append(added(stream, 0, [1, 666]));
  await reached();
  expect((await own.pool.query('select stream from parked')).rows).toEqual([{ stream }]);
  poisoned = false;
  await rebuild(own.ledger, tallies());
  expect((await own.pool.query('select stream from parked')).rows).toEqual([]);
  await own.ledger.append(added(stream, 2, [3]));
  await until(
    async () =>
      (await own.pool.query('select from tally_view where stream = $1 and sum = 670', [stream])).rowCount === 1,
  );
});

test('a follower that lags is carried forward by the swap, and applies nothing twice', async () => {
  await own.pool.query(`update checkpoint set position = 5`);
  await own.pool.query('truncate tally_view');
  const at = await rebuild(own.ledger, tallies());
  expect((await own.pool.query('select position::text from checkpoint')).rows).toEqual([{ position: String(at) }]);
  const rebuilt = await checksum(own.pool);
  follower = new Follower(own.ledger, tallies(), { poll: 20 });
  await reached();
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(await checksum(own.pool)).toBe(rebuilt);
});
