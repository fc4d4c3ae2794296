import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { copyIn } from './bulk.js';
import { added, closeLedgers, ledgerTemplate, newStream, openLedger, type TestLedger } from './ledger.harness.js';
import { type FoldedEvent } from './stored.js';
import { inTransaction } from './transaction.js';

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

const bare = ({ position, stream, version, type, schema, data }: FoldedEvent) => ({
  ...{ position, stream, version, type, schema, data },
});

test('events read in bulk are those that are read one by one, page by page to the end', async () => {
  for (let i = 0; i < 30; i++) await own.ledger.append(added(newStream(), 0, [i, -i]));
  const all = (await own.ledger.readFrom('0', 1_000)).map(bare);
  expect(all.length).toBe(60);
  const read: object[] = [];
  let at = 0n;
  for (let full = true; full;) {
    const page = await own.ledger.readBulk(['tally'], at, 25);
    read.push(...page.events);
    ({ to: at, full } = page);
  }
  expect(read).toEqual(all);
  expect(at).toBe(60n);
  expect(await own.ledger.readBulk(['tally'], at, 25)).toEqual({ events: [], to: at, full: false });
  expect(await own.ledger.readBulk(["o'ther"], 0n, 60)).toEqual({ events: [], to: at, full: true });
});

test('white space in data, which COPY has to quote, does not change what is read', async () => {
  const head = BigInt(await own.ledger.head());
  const stream = newStream();
  await own.ledger.append(added(stream, 0, [5, 6]));
  await inTransaction(own.pool, async (client) => {
    await client.query('set local session_replication_role = replica');
    await client.query(`update event set data = e'{\\r\\n\\t"by": 5\\n}' where stream = $1 and version = 1`, [stream]);
  });
  const { events, to } = await own.ledger.readBulk(['tally'], head, 100);
  expect(events.map(({ data }) => data)).toEqual([{ by: 5 }, { by: 6 }]);
  expect(to).toBe(head + 2n);
});

const columns = { n: 'integer', l: 'bigint', u: 'uuid', z: 'timestamptz', t: 'text', nothing: 'integer' } as const;
const made =
  'create table copied (n integer primary key, l bigint, u uuid, z timestamptz, t text not null, nothing integer)';

type Row = { n: number; l: string; u: string; z: string; t: string; nothing: null };
const valuesOf = ({ n, l, u, z, t, nothing }: Row) => [n, l, u, z, t, nothing];

test('rows copied in stand in the table as they were given, whatever is in them', async () => {
  const texts = ['', 'plain', '\x01', 'line\nfeed\r\n', '\\.', '\\N', '"', 'äöü €𝄞', 'long €'.repeat(30_000)];
  const longs = ['0', '1', '-1', '4294967295', '4294967296', '-4294967297', '9007199254740991', '-9007199254740991'];
  const times = [
    '2026-11-22T01:02:03.456Z',
    '1999-12-31T23:59:59.999Z',
    '1969-07-20T20:17:40.000Z',
    '2399-01-01T00:00:00.001Z',
  ];
  const rows = Array.from({ length: 1_000 }, (_, n) => ({
    n: n - 500,
    l: longs[n % longs.length]!,
    u: randomUUID(),
    z: times[n % times.length]!,
    t: texts[n % texts.length]!,
    nothing: null,
  }));
  await own.pool.query(made);
  await inTransaction(own.pool, (client) => copyIn(client, 'copied', columns, rows, valuesOf));
  const { rows: found } = await own.pool.query<Row>(
    `select n, l::text, u, to_char(z at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as z, t, nothing from copied order by n`,
  );
  expect(found).toEqual(rows);
});

test.each([
  ['a row twice', { n: 699 }, { code: '23505' }],
  ['no number', { n: NaN }, RangeError],
  ['no position', { l: 'seven' }, RangeError],
  ['no time', { z: 'yesterday' }, RangeError],
  ['no id', { u: 'abc' }, { code: '08P01' }],
])('%s is refused, nothing is in, and the connection goes on', async (_what, wrong, error) => {
  const good = { l: '1', u: randomUUID(), z: '2026-11-22T01:02:03.456Z', t: '', nothing: null };
  const rows = Array.from({ length: 5_000 }, (_, n) => ({ ...good, n, ...(n === 700 ? wrong : {}) }));
  await own.pool.query('truncate copied');
  const copying = inTransaction(own.pool, (client) => copyIn(client, 'copied', columns, rows, valuesOf));
  await (typeof error === 'function'
    ? expect(copying).rejects.toThrow(error)
    : expect(copying).rejects.toMatchObject(error));
  expect((await own.pool.query('select count(*)::int as n from copied')).rows).toEqual([{ n: 0 }]);
});
