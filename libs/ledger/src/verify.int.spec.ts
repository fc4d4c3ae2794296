import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { added, closeLedgers, ledgerTemplate, newStream, openLedger, type TestLedger } from './ledger.harness.js';
import { verify } from './verify.js';

let database: TestDatabase;
let own: TestLedger;

/** Blocks of 10 events, 1–10, 11–20 … 291–300. */
beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  own = openLedger(database.url);
  for (let i = 0; i < 30; i++)
    await own.ledger.append(
      added(
        newStream(),
        0,
        Array.from({ length: 10 }, (_, n) => n),
      ),
    );
});
afterAll(async () => {
  await closeLedgers();
  await database.drop();
});

/** Does to the tables what only a superuser can, looks, and puts everything back. */
async function tampered(sql: string, from?: bigint, to?: bigint) {
  const client = await own.pool.connect();
  try {
    await client.query('create table kept_event as table event; create table kept_block as table block');
    await client.query(`set session_replication_role = replica; ${sql}`);
    return await verify(own.pool, from, to);
  } finally {
    await client.query(`set session_replication_role = replica; delete from event; delete from block;
      insert into event table kept_event; insert into block table kept_block; drop table kept_event, kept_block`);
    client.release(true);
  }
}

test('a healthy ledger verifies, and the chain can be recomputed outside', async () => {
  const sound = await verify(own.pool);
  expect(sound).toEqual({
    ok: true,
    checked: '300',
    head: { position: '300', hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
  });
  const { rows } = await own.pool.query<{ hash: string }>(`
    with recursive chain(last, hash) as (
      select 0::bigint, ''::bytea union all
      select b.last, sha256(c.hash || (select string_agg(e.digest, ''::bytea order by e.position) from event e
        where e.position between b.first and b.last)) from chain c join block b on b.first = c.last + 1
    ) select encode(hash, 'hex') as hash from chain order by last desc limit 1`);
  expect(rows[0]!.hash).toBe(sound.head.hash);
});

test.each([
  ['id', 'id = gen_random_uuid()'],
  ['stream', `stream = stream || 'x'`],
  ['version', 'version = 77'],
  ['type', `type = 'Removed'`],
  ['schema', 'schema = 2'],
  ['data', `data = '{"by":99}'`],
  ['data, by a space', `data = replace(data::text, ':', ': ')::json`],
  ['meta', `meta = replace(meta::text, 'ann', 'eve')::json`],
  ['digest', `digest = sha256('x')`],
  ['recorded_at', `recorded_at = recorded_at + interval '1 microsecond'`],
  ['stream and type, moved across their border', `stream = left(stream, -1), type = right(stream, 1) || type`],
])('a changed %s is named', async (_, change) => {
  const { ok, firstBad } = await tampered(`update event set ${change} where position = 47`);
  expect({ ok, firstBad }).toMatchObject({ ok: false, firstBad: { position: '47', problem: 'event' } });
});

test.each([
  ['a deleted row', 'delete from event where position = 47', '47', 'missing'],
  ['a deleted first row', 'delete from event where position = 1', '1', 'missing'],
  ['a deleted last row', 'delete from event where position = 300', '300', 'missing'],
  [
    'two rows swapped',
    'update event set position = 9999 where position = 43; update event set position = 43 where position = 57; update event set position = 57 where position = 9999',
    '43',
    'event',
  ],
  [
    'data and digest both rewritten',
    `update event set data = '{"by":99}' where position = 47; update event set digest = event_digest(position, id, stream, version,
      type, schema, data::text, meta::text, extract(epoch from recorded_at)) where position = 47`,
    '41',
    'block',
  ],
  ['a rewritten block', `update block set hash = sha256('x') where first = 41`, '41', 'block'],
  [
    'data, digest and block rewritten',
    `update event set data = '{"by":99}' where position = 47; update event set digest = event_digest(position, id, stream, version,
      type, schema, data::text, meta::text, extract(epoch from recorded_at)) where position = 47;
    update block b set hash = sha256(b.previous || (select string_agg(e.digest, ''::bytea order by e.position) from event e
      where e.position between b.first and b.last)) where first = 41`,
    '51',
    'block',
  ],
  ['a deleted block', 'delete from block where first = 41', '51', 'block'],
  ['a deleted last block', 'delete from block where first = 291', '291', 'block'],
  ['a block that ends early', 'update block set last = 49 where first = 41', '41', 'block'],
  [
    'an event written past the door',
    `insert into event select 301, gen_random_uuid(), 'tally-x', 1, type, schema, data, meta, digest, recorded_at from event where position = 300;
    update event set digest = event_digest(position, id, stream, version, type, schema, data::text, meta::text,
      extract(epoch from recorded_at)) where position = 301`,
    '301',
    'block',
  ],
])('%s is found', async (_, sql, position, problem) => {
  const { ok, firstBad } = await tampered(sql);
  expect({ ok, firstBad }).toMatchObject({ ok: false, firstBad: { position, problem } });
});

test('a cut tail verifies, but its head is not the one kept elsewhere', async () => {
  const kept = (await verify(own.pool)).head;
  const cut = await tampered('delete from event where position > 250; delete from block where first > 250');
  expect(cut).toMatchObject({ ok: true, checked: '250', head: { position: '250' } });
  expect(cut.head).not.toEqual(kept);
});

test('a part is checked by whole blocks', async () => {
  expect(await verify(own.pool, 45n, 55n)).toMatchObject({ ok: true, checked: '20' });
  expect(await verify(own.pool, 300n)).toMatchObject({ ok: true, checked: '10' });
  expect(await verify(own.pool, 301n)).toMatchObject({ ok: true, checked: '0' });
  expect(await verify(own.pool, 1n, 400n)).toMatchObject({
    ok: false,
    firstBad: { position: '301', problem: 'missing' },
  });
  const change = `update event set data = '{}' where position = 47`;
  expect(await tampered(change, 49n, 49n)).toMatchObject({ firstBad: { position: '47', problem: 'event' } });
  expect(await tampered(change, 41n, 42n)).toMatchObject({ firstBad: { position: '47', problem: 'event' } });
  expect(await tampered(change, 51n)).toMatchObject({ ok: true, checked: '250' });
  expect(await tampered(change, 1n, 40n)).toMatchObject({ ok: true, checked: '40' });
  expect(await tampered(`update block set hash = sha256('x') where first = 41`, 55n)).toMatchObject({
    firstBad: { position: '51', problem: 'block' },
  });
});

test('a big ledger raises no false alarm, while it grows', async () => {
  const many = (n: number) => Array.from({ length: n }, () => 1);
  await Promise.all(many(22).map(() => own.ledger.append(added(newStream(), 0, many(1_000)))));
  let growing = true;
  const growth = (async () => {
    while (growing) await Promise.all(many(20).map(() => own.ledger.append(added(newStream(), 0, [1, 2]))));
  })();
  try {
    for (let round = 0; round < 3; round++) expect(await verify(own.pool)).toMatchObject({ ok: true });
    expect(await verify(own.pool, 20_000n, 20_001n)).toMatchObject({ ok: true });
  } finally {
    growing = false;
    await growth;
  }
  const { checked, ok } = await verify(own.pool);
  expect({ checked, ok }).toEqual({ checked: await own.ledger.head(), ok: true });
}, 120_000);

test('an empty ledger verifies', async () => {
  const empty = await createDatabase(ledgerTemplate);
  const { pool, ledger } = openLedger(empty.url);
  expect(await verify(pool)).toEqual({ ok: true, checked: '0', head: { position: '0', hash: '' } });
  expect(await ledger.head()).toBe('0');
  await empty.drop();
});
