import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { copyIn, quoted } from './bulk.js';
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

test('rows copied in stand in the table as they were given, whatever is in them', async () => {
  const texts = [
    '',
    'plain',
    '\x01',
    '\x1f',
    'a\x01\x01b\x1fc',
    'line\nfeed\r\n',
    '\\.',
    '\\N',
    '"',
    'äöü €𝄞',
    '\t',
    null,
  ];
  const rows = Array.from({ length: 1_000 }, (_, n) => ({ n, text: texts[n % texts.length]!, json: { of: texts } }));
  await own.pool.query('create table copied (n integer, t text, nothing integer, j text)');
  await inTransaction(own.pool, (client) =>
    copyIn(client, 'copied (n, t, nothing, j)', rows, ({ n, text, json }) => [
      n,
      quoted(text),
      null,
      JSON.stringify(json),
    ]),
  );
  const { rows: found } = await own.pool.query<{ n: number; t: string; nothing: null; j: string }>(
    'select * from copied order by n',
  );
  expect(found.map(({ n, t, nothing, j }) => ({ n, text: t, nothing, json: JSON.parse(j) as object }))).toEqual(
    rows.map((row) => ({ ...row, nothing: null })),
  );
});

test('what the table refuses is thrown with its code, and the connection goes on', async () => {
  const rows = Array.from({ length: 5_000 }, (_, n) => n);
  const copying = inTransaction(own.pool, (client) =>
    copyIn(client, 'copied (n)', rows, (n) => [n === 700 ? 'seven' : n]),
  );
  await expect(copying).rejects.toMatchObject({ code: '22P02' });
  expect((await own.pool.query('select count(*)::int as n from copied where t is null and j is null')).rows).toEqual([
    { n: 0 },
  ]);
});
