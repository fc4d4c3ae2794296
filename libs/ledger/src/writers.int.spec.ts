import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { type Append } from './append.js';
import { Follower } from './follow.js';
import {
  added,
  checksum,
  closeLedgers,
  disorder,
  ledgerTemplate,
  newStream,
  openLedger,
  tallies,
  until,
  type TestLedger,
} from './ledger.harness.js';
import { rebuild } from './rebuild.js';
import { verify } from './verify.js';

let database: TestDatabase;
let writers: TestLedger[];

beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  writers = [1, 2, 3].map(() => openLedger(database.url));
});
afterAll(async () => {
  await closeLedgers();
  await database.drop();
});

const target = 20_000;
const hot = Array.from({ length: 40 }, () => newStream());

interface Counts {
  events: number;
  duplicate: number;
  conflict: number;
}

/** Fresh streams, hot streams that others write too, orders sent twice: as many at once as a busy process has. */
async function write({ ledger }: TestLedger, random: () => number, counts: Counts): Promise<void> {
  let last: Append = added(newStream(), 0);
  while (counts.events < target) {
    const dice = random();
    let append: Append;
    if (dice < 0.1) append = last;
    else if (dice < 0.4) {
      const stream = hot[Math.floor(random() * hot.length)]!;
      append = added(stream, (await ledger.read(stream)).length, [1, 2]);
    } else append = added(newStream(), 0, [1, 2, 3]);
    const { verdict } = await ledger.append(append);
    if (verdict.verdict === 'appended') {
      counts.events += verdict.events.length;
      last = append;
    } else counts[verdict.verdict as 'duplicate' | 'conflict']++;
  }
}

/** The same dice each time, so that a failure can be seen again. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

test('three writers, 20,000 events: dense, in order, nothing missed, nothing twice', async () => {
  const reader = openLedger(database.url);
  const seen: string[] = [];
  const projection = tallies();
  const watching = new Follower(
    reader.ledger,
    {
      ...projection,
      apply: async (to, events) => (
        await projection.apply(to, events),
        void seen.push(...events.map(({ position }) => position))
      ),
    },
    { poll: 10 },
  );
  const counts: Counts = { events: 0, duplicate: 0, conflict: 0 };
  await Promise.all(
    writers.flatMap((writer, w) => Array.from({ length: 40 }, (_, i) => write(writer, dice(w * 100 + i + 1), counts))),
  );
  await Promise.all(writers.map(({ ledger }) => ledger.drained()));

  const { pool, ledger } = writers[0]!;
  const head = Number(await ledger.head());
  expect(head).toBe(counts.events);
  expect(counts.duplicate).toBeGreaterThan(100);
  expect(counts.conflict).toBeGreaterThan(20);
  expect(await disorder(pool)).toEqual({ gaps: 0, jumps: 0 });
  expect(
    (await pool.query('select count(*)::int as n, count(distinct (id, stream))::int as d from event')).rows,
  ).toEqual([{ n: head, d: head }]);

  await until(() => watching.position >= BigInt(head));
  await watching.stop();
  expect(seen).toEqual(Array.from({ length: head }, (_, i) => String(i + 1)));
  const live = await checksum(pool);
  await rebuild(ledger, projection);
  expect(await checksum(pool)).toBe(live);
  expect(await verify(pool)).toMatchObject({ ok: true, checked: String(head) });

  // Every event was rung by exactly one bell.
  const rung = writers.flatMap(({ bells }) => bells).sort((a, b) => Number(a.first) - Number(b.first));
  expect(rung.map(({ first }) => first)).toEqual([
    '1',
    ...rung.slice(0, -1).map(({ last }) => String(BigInt(last) + 1n)),
  ]);
  expect(rung.at(-1)!.last).toBe(String(head));
}, 120_000);
