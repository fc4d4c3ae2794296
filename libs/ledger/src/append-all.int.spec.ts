import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { type Append, type Verdict } from './append.js';
import { type Ledger } from './ledger.js';
import {
  added,
  closeLedgers,
  disorder,
  ledgerTemplate,
  newStream,
  openLedger,
  until,
  verdictOf,
  type TestLedger,
} from './ledger.harness.js';
import { verify } from './verify.js';

let database: TestDatabase;
let own: TestLedger;
let ledger: Ledger;

beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  own = openLedger(database.url);
  ledger = own.ledger;
});
afterAll(async () => {
  expect(await disorder(own.pool)).toEqual({ gaps: 0, jumps: 0 });
  expect(await verify(own.pool)).toMatchObject({ ok: true });
  await closeLedgers();
  await database.drop();
});

/** `size` appends to new streams, of one, two and three events in turn. */
const unit = (size: number, extra: Partial<Append> = {}): Append[] =>
  Array.from({ length: size }, (_, i) => added(newStream(), 0, [1, 2, 3].slice(0, 1 + (i % 3)), extra));

const words = (verdicts: Verdict[]) => verdicts.map(({ verdict }) => verdict);
const positionsOf = (verdicts: Verdict[]): number[] =>
  verdicts.flatMap((verdict) =>
    verdict.verdict === 'appended' ? verdict.events.map(({ position }) => Number(position)) : [],
  );

/** How many events each of these streams has. */
const lengths = (appends: Append[]) =>
  Promise.all(appends.map(async ({ stream }) => (await ledger.read(stream)).length));
const none = (appends: Append[]) => appends.map(() => 0);

/** Every event of the unit, dense and in the order that was given, in one block, rung by one bell. */
async function expectWhole(appends: Append[], verdicts: Verdict[]): Promise<void> {
  expect(new Set(words(verdicts))).toEqual(new Set(['appended']));
  const positions = positionsOf(verdicts);
  const all = appends.reduce((sum, { events }) => sum + events.length, 0);
  expect(positions).toEqual(Array.from({ length: all }, (_, i) => positions[0]! + i));
  const [first, last] = [positions[0]!, positions.at(-1)!];
  const stored = await ledger.readFrom(String(first - 1), all);
  expect(stored.map(({ stream }) => stream)).toEqual(appends.flatMap(({ stream, events }) => events.map(() => stream)));
  const text = 'select count(*)::int as n from block where first <= $1 and last >= $2';
  expect((await own.pool.query(text, [first, last])).rows).toEqual([{ n: 1 }]);
  expect(own.bells.filter((bell) => Number(bell.first) <= first && Number(bell.last) >= last)).toHaveLength(1);
}

const slip = (name: string): Partial<Append> => ({ alongside: { slip: [{ name, number: 1 }] } });
const slips = async (like: string) => {
  const { rows } = await own.pool.query<{ n: number }>('select count(*)::int as n from slip where name like $1', [
    like,
  ]);
  return rows[0]!.n;
};

test('all are in one commit, in the given order, whoever writes beside them', async () => {
  const alone = unit(50);
  await expectWhole(alone, await ledger.appendAll(alone));
  const units = Array.from({ length: 5 }, () => unit(20));
  const [verdicts, others] = await Promise.all([
    Promise.all(units.map((appends) => ledger.appendAll(appends))),
    Promise.all(Array.from({ length: 200 }, () => verdictOf(ledger, added(newStream(), 0)))),
  ]);
  for (const [i, appends] of units.entries()) await expectWhole(appends, verdicts[i]!);
  expect(new Set(words(others))).toEqual(new Set(['appended']));
});

test('more than a flush takes otherwise, in number and in length, is still one commit', async () => {
  const many = unit(5_000);
  await expectWhole(many, await ledger.appendAll(many));
  const long = Array.from({ length: 12 }, (): Append => {
    const events = [{ type: 'Said', data: { text: 'x'.repeat(900_000) } }];
    return { ...added(newStream(), 0), events };
  });
  await expectWhole(long, await ledger.appendAll(long));
});

test('where a hook raises nothing of the unit stays, and its neighbours lose nothing', async () => {
  await ledger.append(added(newStream(), 0, [1], slip('taken')));
  const bad = [...unit(30, {}), added(newStream(), 0, [1], slip('taken')), ...unit(30)];
  bad[0] = { ...bad[0]!, ...slip('bad-1') };
  const good = Array.from({ length: 4 }, (_, i) =>
    unit(25).map((append, k) => ({ ...append, ...slip(`good-${i}-${k}`) })),
  );
  const single = Array.from({ length: 40 }, (_, i) => added(newStream(), 0, [i], slip(`single-${i}`)));
  const [refused, ...verdicts] = await Promise.allSettled([
    ledger.appendAll(bad),
    ...good.map((appends) => ledger.appendAll(appends)),
    ...single.map(async (append) => [await verdictOf(ledger, append)]),
  ]);
  expect(refused).toMatchObject({ status: 'rejected', reason: { code: '23505' } });
  expect(await lengths(bad)).toEqual(none(bad));
  const settled = verdicts.map((each) => (each.status === 'fulfilled' ? each.value : []));
  for (const [i, appends] of good.entries()) await expectWhole(appends, settled[i]!);
  expect(settled.slice(4).flatMap(words)).toEqual(single.map(() => 'appended'));
  expect([await slips('bad-%'), await slips('good-%'), await slips('single-%')]).toEqual([0, 100, 40]);
});

test('however often a flush is halved, a unit goes whole or not at all', async () => {
  const units = Array.from({ length: 24 }, (_, i) => {
    const appends = unit(10);
    return i % 5 === 2 ? [...appends, added(newStream(), 0, [1], slip('taken')), ...unit(3)] : appends;
  });
  const results = await Promise.allSettled(units.map((appends) => ledger.appendAll(appends)));
  for (const [i, result] of results.entries()) {
    if (result.status === 'fulfilled') await expectWhole(units[i]!, result.value);
    else expect(await lengths(units[i]!)).toEqual(none(units[i]!));
  }
  const refused = results.flatMap(({ status }, i) => (status === 'rejected' ? [i] : []));
  expect(refused).toEqual([2, 7, 12, 17, 22]);
});

test('what cannot be stored is refused at the door with all that came with it', async () => {
  const head = await ledger.head();
  const good = unit(5);
  const nul: Append = { ...added(newStream(), 0), events: [{ type: 'Said', data: { text: 'a\u0000' } }] };
  await expect(ledger.appendAll([...good, nul])).rejects.toMatchObject({ code: 'NUL_CHARACTER' });
  await ledger.drained();
  expect(await ledger.head()).toBe(head);
});

test('each has a verdict of its own; those that require the first stand and fall with it', async () => {
  const [taken, free] = [newStream('process'), newStream('process')];
  await ledger.append(added(taken, 0));
  const behind = (first: string) => [added(first, 0), ...unit(3, { requires: [{ stream: first, version: 0 }] })];
  const loose = [added(taken, 0), ...unit(2)];
  expect(words(await ledger.appendAll(loose))).toEqual(['conflict', 'appended', 'appended']);
  expect(words(await ledger.appendAll(behind(taken)))).toEqual(['conflict', 'stale', 'stale', 'stale']);
  expect(words(await ledger.appendAll(behind(free)))).toEqual(Array<string>(4).fill('appended'));
  // Ordered in one turn: the later one is judged by what the earlier one left.
  const raced = newStream('process');
  const [one, two] = await Promise.all([ledger.appendAll(behind(raced)), ledger.appendAll(behind(raced))]);
  expect(words(one)).toEqual(Array<string>(4).fill('appended'));
  expect(words(two)).toEqual(['conflict', 'stale', 'stale', 'stale']);
});

test('a unit waits as a whole for a stream that is under way, and keeps its place in it', async () => {
  const hot = newStream();
  const sleeping = { alongside: { sleep: [{ seconds: 0.3 }] } };
  const under = ledger.append(added(hot, 0, [1], sleeping));
  // By now it has gone out.
  await new Promise((resolve) => setImmediate(resolve));
  const appends = [...unit(20), added(hot, 1, [2]), ...unit(20)];
  const verdicts = ledger.appendAll(appends);
  const after = ledger.append(added(hot, 2, [3]));
  await under;
  await expectWhole(appends, await verdicts);
  expect((await after).verdict.verdict).toBe('appended');
  expect((await ledger.read(hot)).map(({ data }) => data)).toEqual([{ by: 1 }, { by: 2 }, { by: 3 }]);
});

test('when the connection dies half-way nothing of it is there, and what waits behind it goes on', async () => {
  const head = await ledger.head();
  const appends = unit(300);
  appends[7] = { ...appends[7]!, alongside: { slip: [{ name: 'dead', number: 1 }], sleep: [{ seconds: 100 }] } };
  const died = ledger.appendAll(appends).then(
    () => 'appended',
    (error: unknown) => error,
  );
  await until(async () => (await sleepers()).length > 0);
  const [pid] = await sleepers();
  const waiting = [unit(10), unit(10)];
  const behind = waiting.map((each) => ledger.appendAll(each));
  await own.pool.query('select pg_terminate_backend($1)', [pid]);
  expect(await died).toMatchObject({ kind: 'unavailable', code: 'STORE_UNAVAILABLE' });
  for (const [i, verdicts] of (await Promise.all(behind)).entries()) await expectWhole(waiting[i]!, verdicts);
  expect(await lengths(appends)).toEqual(none(appends));
  expect(await slips('dead')).toBe(0);
  const more = waiting.flat().reduce((sum, { events }) => sum + events.length, 0);
  expect(await ledger.head()).toBe(String(Number(head) + more));
  // The same order again is carried out: nothing of the first time stands in its way.
  appends[7] = { ...appends[7]!, ...slip('dead') };
  await expectWhole(appends, await ledger.appendAll(appends));
});

/** The connections that are inside a flush, asleep in its last hook. */
async function sleepers(): Promise<number[]> {
  const text = `select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`;
  return (await own.pool.query<{ pid: number }>(text)).rows.map(({ pid }) => pid);
}
