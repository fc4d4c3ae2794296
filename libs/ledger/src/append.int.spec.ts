import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { type Verdict } from './append.js';
import { type Ledger } from './ledger.js';
import {
  added,
  closeLedgers,
  disorder,
  ledgerTemplate,
  meta,
  newStream,
  openLedger,
  verdictOf,
  type TestLedger,
} from './ledger.harness.js';

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
  await closeLedgers();
  await database.drop();
});

const words = (verdicts: Verdict[]) => verdicts.map(({ verdict }) => verdict);
const all = async (appends: Parameters<Ledger['append']>[0][]) =>
  words(await Promise.all(appends.map((append) => verdictOf(ledger, append))));
const slips = async () =>
  (await own.pool.query<{ name: string }>('select name from slip order by name')).rows.map(({ name }) => name);

test('what is appended is read back the same', async () => {
  const stream = newStream();
  const data = {
    text: `it's "quoted" \\ and \\u0000 spelled out, \n\t, 日本語 😀, $1 $$`,
    nested: [1, null, { a: 0.1 }],
  };
  const causation = meta({ causationId: 'because' });
  const { verdict } = await ledger.append({
    stream,
    expected: 0,
    events: [
      { type: 'Said', data },
      { type: 'Left', data: {}, schema: 3 },
    ],
    meta: causation,
  });
  const events = await ledger.read(stream);
  expect(events.map(({ digest, ...rest }) => (expect(digest).toMatch(/^[0-9a-f]{64}$/), rest))).toEqual(
    (verdict as { events: unknown[] }).events,
  );
  expect(events).toMatchObject([
    {
      version: 1,
      type: 'Said',
      schema: 1,
      data,
      meta: { actor: 'ann', at: causation.now, correlationId: 'c-1', causationId: 'because' },
    },
    { version: 2, type: 'Left', schema: 3, data: {} },
  ]);
});

test('a repeat answers the first position, another version is a conflict', async () => {
  const stream = newStream();
  const append = added(stream, 0, [1, 2]);
  const first = await verdictOf(ledger, append);
  expect(first.verdict).toBe('appended');
  const position = (first as { events: { position: string }[] }).events[0]!.position;
  const repeat = { verdict: 'duplicate', position, version: 2 };
  expect(await verdictOf(ledger, append)).toEqual(repeat);
  // The order is known by its id, whatever it expects by now.
  expect(await verdictOf(ledger, { ...append, expected: 2 })).toEqual(repeat);
  expect(await verdictOf(ledger, { ...append, expected: null })).toEqual(repeat);
  expect(await verdictOf(ledger, added(stream, 1))).toEqual({ verdict: 'conflict', position: null, version: 2 });
  expect(await verdictOf(ledger, added(newStream(), 3))).toEqual({ verdict: 'conflict', position: null, version: 0 });
});

test('a repeat is found in a long stream too', async () => {
  const stream = newStream();
  const early = added(stream, 0);
  const late = added(stream, 70);
  await ledger.append(early);
  await ledger.append(
    added(
      stream,
      1,
      Array.from({ length: 69 }, () => 1),
    ),
  );
  await ledger.append(late);
  await ledger.append(
    added(
      stream,
      71,
      Array.from({ length: 40 }, () => 1),
    ),
  );
  expect(await all([early, { ...early, expected: 111 }])).toEqual(['duplicate', 'duplicate']);
  expect(await all([late, { ...late, expected: 111 }])).toEqual(['duplicate', 'duplicate']);
  expect(await all([added(stream, 111)])).toEqual(['appended']);
});

test('an append may require versions of other streams', async () => {
  const [process, run, other] = [newStream('process'), newStream(), newStream()];
  await ledger.append(added(process, 0, [1, 2]));
  const requires = [{ stream: process, version: 2 }];
  expect(await verdictOf(ledger, added(run, 0, [1], { requires: [{ stream: process, version: 1 }] }))).toMatchObject({
    verdict: 'stale',
  });
  expect(
    await all([
      added(run, 0, [1], { requires }),
      added(other, 0, [1], { requires: [...requires, { stream: run, version: 7 }] }),
    ]),
  ).toEqual(['appended', 'stale']);
  expect(await all([added(other, 0, [1], { requires: [{ stream: newStream(), version: 0 }] })])).toEqual(['appended']);
});

test('an unconditional append says the true version', async () => {
  const stream = newStream();
  await ledger.append(added(stream, 0, [1, 2, 3]));
  const verdict = (await verdictOf(ledger, added(stream, null, [4, 5]))) as {
    events: { version: number; position: string }[];
  };
  expect(verdict.events.map(({ version }) => version)).toEqual([4, 5]);
  expect((await ledger.read(stream)).map(({ position }) => position).slice(3)).toEqual(
    verdict.events.map(({ position }) => position),
  );
  const fresh = (await verdictOf(ledger, added(newStream(), null))) as typeof verdict;
  expect(fresh.events[0]!.version).toBe(1);
});

test('refused appends do their neighbours no harm, and their rows are left out', async () => {
  const taken = newStream();
  const before = added(taken, 0);
  await ledger.append(before);
  const bells = own.bells.length;
  const slip = (name: string) => ({ slip: [{ name, number: 1 }] });
  const good = [newStream(), newStream(), newStream()];
  const verdicts = await all([
    added(good[0]!, 0, [1, 2], { alongside: slip('a') }),
    added(taken, 0, [1], { alongside: slip('refused') }),
    added(good[1]!, 0, [1], { alongside: slip('b') }),
    added(newStream(), 5, [1], { alongside: slip('refused') }),
    added(good[2]!, null, [1], { alongside: slip('c') }),
  ]);
  expect(verdicts).toEqual(['appended', 'conflict', 'appended', 'conflict', 'appended']);
  expect(own.bells.length).toBe(bells + 1);
  expect(await slips()).toEqual(['a', 'b', 'c']);
});

test('a hook that raises costs only the append that made it raise', async () => {
  await own.pool.query('delete from slip');
  const slip = (name: string) => ({ alongside: { slip: [{ name, number: 1 }] } });
  await ledger.append(added(newStream(), 0, [1], slip('taken')));
  const streams = Array.from({ length: 40 }, () => newStream());
  const results = await Promise.allSettled(
    streams.map((stream, i) => ledger.append(added(stream, 0, [i], slip(i === 7 || i === 30 ? 'taken' : `s${i}`)))),
  );
  const failed = results.flatMap((result, i) =>
    result.status === 'rejected' ? [{ i, code: (result.reason as { code: string }).code }] : [],
  );
  expect(failed).toEqual([
    { i: 7, code: '23505' },
    { i: 30, code: '23505' },
  ]);
  expect(await slips()).toHaveLength(39);
  const found = await Promise.all(streams.map((stream) => ledger.read(stream)));
  expect(found.map((events) => events.length).filter((length) => length === 1)).toHaveLength(38);
});

test('a deadlock with somebody outside the lock is tried again', async () => {
  const append = added(newStream(), 0, [1], { alongside: { deadlock: [{}] } });
  expect(await all([append, added(newStream(), 0)])).toEqual(['appended', 'appended']);
  expect((await own.pool.query('select last_value::int as n from test_tries')).rows).toEqual([{ n: 3 }]);
});

test('an unknown hook, and rows that do not fit, cost only their own append', async () => {
  const results = await Promise.allSettled([
    ledger.append(added(newStream(), 0)),
    ledger.append(added(newStream(), 0, [1], { alongside: { nonesuch: [{}] } })),
    ledger.append(added(newStream(), 0, [1], { alongside: { slip: [{ name: 'x', number: 'many' }] } })),
    ledger.append(added(newStream(), 0)),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
  expect(results[1]).toMatchObject({ reason: { message: 'there is no ledger hook nonesuch' } });
});

test('plans that were made when the ledger was small read no table whole when it has grown', async () => {
  const fresh = await createDatabase(ledgerTemplate);
  try {
    const grown = openLedger(fresh.url);
    const grow = async (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        await grown.ledger.append(added(newStream(), 0, [1], { alongside: { slip: [{ name: `n${i}`, number: 1 }] } }));
      }
      await grown.pool.query('select pg_stat_force_next_flush()');
    };
    const readWhole = async () => {
      const text = `select sum(seq_tup_read)::int as rows from pg_stat_user_tables where relname in ('block', 'event')`;
      return (await grown.pool.query<{ rows: number }>(text)).rows[0]!.rows;
    };
    await grow(0, 10);
    await grown.pool.query('analyze');
    const before = await readWhole();
    await grow(10, 400);
    expect(await readWhole()).toBe(before);
  } finally {
    await fresh.drop();
  }
});

test('what cannot be stored is refused at the door', async () => {
  const said = (data: object) =>
    ledger.append({ stream: newStream(), expected: 0, events: [{ type: 'Said', data }], meta: meta() });
  const results = await Promise.allSettled([
    said({ text: 'a\u0000b' }),
    said({ '\u0000': 1 }),
    said({ text: 'x'.repeat(1_048_577) }),
    ledger.append(added('tally-a\nb', 0)),
    ledger.append(added(newStream(), 0, [1], { alongside: { slip: [{ name: '\u0000', number: 1 }] } })),
    said({ text: 'x'.repeat(1_000_000) }),
    said({ text: '\\u0000' }),
  ]);
  expect(
    results.map((result) => (result.status === 'rejected' ? (result.reason as { code?: string }).code : 'stored')),
  ).toEqual(['NUL_CHARACTER', 'NUL_CHARACTER', 'EVENT_TOO_LARGE', 'BAD_NAME', 'NUL_CHARACTER', 'stored', 'stored']);
  await expect(ledger.append(added(newStream(), 0, []))).rejects.toThrow('without events');
});

test('half of a character becomes the replacement character, which SQL can read', async () => {
  const stream = newStream();
  await ledger.append({
    stream,
    expected: 0,
    events: [{ type: 'Said', data: { text: '😀'.slice(0, 1) + 'x😀' } }],
    meta: meta(),
  });
  const { rows } = await own.pool.query(`select data ->> 'text' as text from event where stream = $1`, [stream]);
  expect(rows).toEqual([{ text: '\ufffdx😀' }]);
});

test('appends of one stream ordered in one turn keep their order', async () => {
  const [one, two] = [newStream(), newStream()];
  const appends = Array.from({ length: 12 }, (_, i) => added(i % 2 ? one : two, i >> 1, [i]));
  expect(new Set(await all(appends))).toEqual(new Set(['appended']));
  expect((await ledger.read(one)).map(({ data }) => data)).toEqual([1, 3, 5, 7, 9, 11].map((by) => ({ by })));
});

test('with much waiting they keep it too', async () => {
  const hot = newStream();
  const appends = Array.from({ length: 600 }, (_, i) => (i % 30 ? added(newStream(), 0) : added(hot, i / 30, [i])));
  expect(new Set(await all(appends))).toEqual(new Set(['appended']));
  expect((await ledger.read(hot)).map(({ version }) => version)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
});

test('one bell a flush, with what it holds', async () => {
  await ledger.drained();
  own.bells.length = 0;
  const head = BigInt(await ledger.head());
  const [one, two] = [newStream(), newStream()];
  await all([added(one, 0, [1, 2]), added(two, 4), added(two, 0)]);
  const heads = [
    [one, 'Added'],
    [one, 'Added'],
    [two, 'Added'],
  ];
  const types = ['Added'];
  // The refused append of the second stream keeps the third out of its flush.
  expect(own.bells).toEqual([
    { first: String(head + 1n), last: String(head + 2n), types, hooks: [], heads: heads.slice(0, 2) },
    { first: String(head + 3n), last: String(head + 3n), types, hooks: [], heads: heads.slice(2) },
  ]);
  expect(await ledger.head()).toBe(String(head + 3n));
  await verdictOf(ledger, added(two, 4));
  await ledger.call({ sleep: [{ seconds: 0 }] });
  expect(own.bells).toHaveLength(2);
  await ledger.append(
    added(
      newStream(),
      0,
      Array.from({ length: 501 }, () => 1),
    ),
  );
  expect(own.bells[2]).toEqual({ first: String(head + 4n), last: String(head + 504n), types, hooks: [] });
});

test('the bell covers what a hook appends by itself', async () => {
  own.bells.length = 0;
  const head = BigInt(await ledger.head());
  const [one, two] = [newStream(), newStream()];
  const [appended, started] = await Promise.all([
    ledger.append(added(one, 0)),
    ledger.call({
      start: [
        { stream: one, by: 'x' },
        { stream: two, by: 'y' },
      ],
    }),
  ]);
  expect(appended.hooks).toEqual({});
  expect(started).toEqual({ start: { started: 2, types: ['Started'] } });
  expect(own.bells).toEqual([
    { first: String(head + 1n), last: String(head + 3n), types: ['Added', 'Started'], hooks: ['start'] },
  ]);
  expect((await ledger.read(one)).map(({ type, version }) => [type, version])).toEqual([
    ['Added', 1],
    ['Started', 2],
  ]);
  await ledger.call({ start: [{ stream: two, by: 'z' }] });
  expect(own.bells[1]).toEqual({
    first: String(head + 4n),
    last: String(head + 4n),
    types: ['Started'],
    hooks: ['start'],
  });
  const blocks = await own.pool.query('select count(*)::int as n from block where first > $1', [String(head)]);
  expect(blocks.rows).toEqual([{ n: 3 }]);
});

test('the ledger refuses to be changed', async () => {
  for (const table of ['event', 'block']) {
    for (const sql of [
      `update ${table} set ${table === 'event' ? "type = 'x'" : 'last = 0'}`,
      `delete from ${table}`,
      `truncate ${table}`,
    ]) {
      await expect(own.pool.query(sql)).rejects.toThrow('append-only');
    }
  }
});
