import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createDatabase, type TestDatabase } from '#testing';
import { readHeads } from './heads.js';
import { added, closeLedgers, ledgerTemplate, meta, newStream, openLedger, type TestLedger } from './ledger.harness.js';

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

test('an empty ledger has none, and its end is its beginning', async () => {
  expect(await readHeads(own.pool, [], 0n, 10)).toEqual({ heads: [], to: 0n, full: false });
});

test('page after page, of every type or of some; what is left out is passed over', async () => {
  const stream = newStream();
  await own.ledger.append(added(stream, 0, [1, 2, 3]));
  const event = { type: 'Other', data: { said: 'x'.repeat(10_000) } };
  await own.ledger.append({ stream, expected: 3, events: [event, event], meta: meta() });
  const all = await readHeads(own.pool, [], 0n, 10);
  const events = await own.ledger.read(stream);
  const heads = events.map(({ position, version, type }) => ({ position, stream, version, type }));
  expect(all).toEqual({ heads, to: 5n, full: false });
  expect(await readHeads(own.pool, [], 0n, 2)).toEqual({ heads: heads.slice(0, 2), to: 2n, full: true });
  expect(await readHeads(own.pool, [], 2n, 3)).toEqual({ heads: heads.slice(2), to: 5n, full: true });
  expect(await readHeads(own.pool, ['Other', 'None'], 0n, 10)).toEqual({ heads: heads.slice(3), to: 5n, full: false });
  expect(await readHeads(own.pool, ['None'], 0n, 2)).toEqual({ heads: [], to: 2n, full: true });
  for (const after of [5n, 99n]) {
    expect(await readHeads(own.pool, [], after, 10)).toEqual({ heads: [], to: after, full: false });
  }
});
