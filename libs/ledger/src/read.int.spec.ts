import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { isStoreAway } from './ledger.js';
import {
  added,
  closeLedgers,
  ledgerTemplate,
  meta,
  newStream,
  openLedger,
  verdictOf,
  type TestLedger,
} from './ledger.harness.js';

let database: TestDatabase;
let own: TestLedger;

beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  own = openLedger(database.url);
});
afterAll(async () => {
  await closeLedgers();
  await database.drop();
});

/** Counts what a ledger asks of its pool. */
function counted(): { ledger: TestLedger['ledger']; queries: () => number } {
  const fresh = openLedger(database.url);
  const query = fresh.pool.query.bind(fresh.pool) as (...args: unknown[]) => unknown;
  let queries = 0;
  fresh.pool.query = ((...args: unknown[]) => (queries++, query(...args))) as typeof fresh.pool.query;
  return { ledger: fresh.ledger, queries: () => queries };
}

test('reads ordered in one turn are one query, and see what was appended before', async () => {
  const streams = Array.from({ length: 300 }, () => newStream());
  await Promise.all(streams.map((stream, i) => own.ledger.append(added(stream, 0, [i, i]))));
  const { ledger, queries } = counted();
  const found = await Promise.all([...streams, ...streams, newStream()].map((stream) => ledger.read(stream)));
  expect(queries()).toBe(1);
  expect(found.map((events) => events.length)).toEqual([...Array.from({ length: 600 }, () => 2), 0]);
  expect(found[17]!.map(({ version, data }) => [version, data])).toEqual([
    [1, { by: 17 }],
    [2, { by: 17 }],
  ]);
});

test('a read ordered after an append was answered sees it, also while another read is under way', async () => {
  const stream = newStream();
  for (let version = 0; version < 20; version++) {
    const before = own.ledger.read(stream);
    await own.ledger.append(added(stream, version));
    expect(await own.ledger.read(stream)).toHaveLength(version + 1);
    await before;
  }
});

test('readFrom goes on after a position, oldest first, and head is the newest', async () => {
  const head = BigInt(await own.ledger.head());
  await own.ledger.append(added(newStream(), 0, [1, 2, 3, 4, 5]));
  expect((await own.ledger.readFrom(head, 3)).map(({ position }) => position)).toEqual(
    [1n, 2n, 3n].map((n) => String(head + n)),
  );
  expect(await own.ledger.readFrom(String(head + 4n), 100)).toHaveLength(1);
  expect(await own.ledger.readFrom(head + 5n, 100)).toEqual([]);
  expect(await own.ledger.head()).toBe(String(head + 5n));
});

test('old shapes are lifted on read, step by step; the ledger keeps them as they were', async () => {
  const stream = newStream();
  const at = (schema: number, data: object) => ({ type: 'Named', schema, data });
  const events = [
    at(1, { name: 'Ann Lee' }),
    at(2, { first: 'Bo', last: 'Ek' }),
    at(3, { first: 'Cy', last: 'Fry', title: 'Dr' }),
  ];
  await own.ledger.append({ stream, expected: 0, events, meta: meta() });
  const lifts = {
    Named: {
      1: ({ name }: { name: string }) => ({ first: name.split(' ')[0], last: name.split(' ')[1] }),
      2: (data: object) => ({ ...data, title: '' }),
    },
  };
  const { ledger } = openLedger(database.url, { lifts });
  const expected = [
    { schema: 3, data: { first: 'Ann', last: 'Lee', title: '' } },
    { schema: 3, data: { first: 'Bo', last: 'Ek', title: '' } },
    { schema: 3, data: { first: 'Cy', last: 'Fry', title: 'Dr' } },
  ];
  const read = await ledger.read(stream);
  expect(read).toMatchObject(expected);
  expect(await ledger.readFrom(BigInt(read[0]!.position) - 1n, 3)).toMatchObject(expected);
  expect(await own.ledger.read(stream)).toMatchObject(events);
});

test('numbers are never given twice', async () => {
  const other = openLedger(database.url);
  const both = [own.ledger, other.ledger];
  const runs = await Promise.all(Array.from({ length: 1_000 }, async (_, i) => await both[i % 2]!.number('run')));
  const processes = await Promise.all(Array.from({ length: 35 }, async (_, i) => await both[i % 2]!.number('process')));
  expect(new Set(runs).size).toBe(1_000);
  expect(new Set(processes).size).toBe(35);
  expect(Math.min(...runs)).toBe(1);
  // No more are drawn ahead than were asked for.
  expect(Math.max(...runs)).toBeLessThanOrEqual(2_000);
  expect([...runs, ...processes].every((n) => Number.isSafeInteger(n) && n > 0)).toBe(true);
});

test('numbers are there before they are asked for, as fast as they are taken', async () => {
  const { ledger } = openLedger(database.url);
  const waits: boolean[] = [];
  for (let round = 0; round < 40; round++) {
    const given = Array.from({ length: 60 }, () => ledger.number('run'));
    waits.push(given.some((number) => typeof number !== 'number'));
    const numbers = await Promise.all(given.map(async (number) => await number));
    expect([...numbers].sort((a, b) => a - b)).toEqual(numbers);
    await delay(5);
  }
  expect(waits[0]).toBe(true);
  // What is drawn for a pace that has been seen lasts: only a server that stalls makes somebody wait again.
  expect(waits.slice(10).filter(Boolean).length).toBeLessThan(15);
});

test('a lost connection is unavailable, costs no other, and the same order may be repeated', async () => {
  const append = added(newStream(), 0, [1], { alongside: { sleep: [{ seconds: 20 }] } });
  const sleeping = own.ledger.append(append);
  const text = `select pg_terminate_backend(pid) as done from pg_stat_activity
    where datname = current_database() and query like '%ledger_flush%' and wait_event = 'PgSleep'`;
  const admin = openLedger(database.url).pool;
  for (let done = false; !done;) done = (await admin.query(text)).rowCount === 1;
  await expect(sleeping).rejects.toMatchObject({ kind: 'unavailable', code: 'STORE_UNAVAILABLE' });
  expect(await verdictOf(own.ledger, { ...append, alongside: {} })).toMatchObject({ verdict: 'appended' });
  expect(await verdictOf(own.ledger, { ...append, alongside: {} })).toMatchObject({ verdict: 'duplicate' });
});

test('a server that is not there is unavailable', async () => {
  const url = new URL(database.url);
  url.port = '1';
  const { ledger } = openLedger(url.href);
  const unavailable = { kind: 'unavailable', code: 'STORE_UNAVAILABLE' };
  await expect(ledger.append(added(newStream(), 0))).rejects.toMatchObject(unavailable);
  await expect(ledger.read(newStream())).rejects.toMatchObject(unavailable);
  await expect(ledger.number('run')).rejects.toMatchObject(unavailable);
  await ledger.drained();
});

test('idle waits for what is in hand', async () => {
  const stream = newStream();
  void own.ledger.append(added(stream, 0, [1], { alongside: { sleep: [{ seconds: 0.2 }] } }));
  void own.ledger.append(added(stream, 1));
  await own.ledger.drained();
  expect(await own.ledger.read(stream)).toHaveLength(2);
});

test('what is nobody’s fault is told from what the data did wrong', () => {
  const away = ['57P01', '08006', '53300', '55P03', '40P01', 'ECONNREFUSED', '57014'];
  expect(away.filter((code) => !isStoreAway({ code }))).toEqual([]);
  expect(['23505', '22P02', '42P01', 'P0001'].filter((code) => isStoreAway({ code }))).toEqual([]);
  expect(isStoreAway(new Error('Connection terminated unexpectedly'))).toBe(true);
  expect(isStoreAway(new TypeError('x is undefined'))).toBe(false);
});

test('what this process appended is followed without reading it back, and is what the table says', async () => {
  const { ledger, queries } = counted();
  const from = await ledger.head();
  await ledger.readCategories(['tally'], from, 10);
  const stream = newStream();
  const event = { type: 'Added', data: { by: 1, said: 'half \ud800 a pair, \u0001' } };
  await ledger.append({ stream, expected: 0, events: [event, event], meta: meta() });
  await ledger.append(added(newStream(), 0));
  const before = queries();
  const followed = await ledger.readCategories(['tally'], from, 10);
  expect(queries()).toBe(before);
  const read = await openLedger(database.url).ledger.readFrom(from, 10);
  expect(followed.events).toEqual(read.map(({ digest: _, ...rest }) => rest));
  expect(followed).toMatchObject({ to: BigInt(from) + 3n, full: false });
  expect(await ledger.readCategories(['tally'], from, 3)).toMatchObject({ full: true });
  expect((await ledger.readCategories(['other'], from, 10)).events).toEqual([]);
});

test('what a hook appended in the same call is known to be there, though it has to be read back', async () => {
  const { ledger } = openLedger(database.url);
  const from = await ledger.head();
  await ledger.readCategories(['tally'], from, 10);
  const start = [{ stream: newStream(), by: 'claim' }];
  await ledger.append(added(newStream(), 0, [1], { alongside: { start } }));
  const own = await ledger.readCategories(['tally'], from, 10);
  expect(own).toMatchObject({ events: [{ type: 'Added' }], full: true });
  const hooks = await ledger.readCategories(['tally'], own.to, 10);
  expect(hooks).toMatchObject({ events: [{ type: 'Started' }], to: BigInt(from) + 2n, full: false });
});
