import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Meta } from '#domain';
import { createDatabase, type TestDatabase } from '#testing';
import { type Append } from './append.js';
import { handle, type HandleOptions } from './handle.js';
import { type Ledger } from './ledger.js';
import {
  added,
  closeLedgers,
  ledgerTemplate,
  meta,
  newStream,
  openLedger,
  tally,
  type TallyCommand,
  type TallyEvent,
  type TestLedger,
} from './ledger.harness.js';

let database: TestDatabase;
let one: TestLedger;
let two: TestLedger;

beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  one = openLedger(database.url);
  two = openLedger(database.url);
});
afterAll(async () => {
  await closeLedgers();
  await database.drop();
});

type Options = HandleOptions<{ sum: number; open: boolean }, TallyEvent>;

function order(
  type: TallyCommand['type'],
  id: string,
  by = 1,
  m: Meta = meta(),
  options: Options = {},
  ledger: Ledger = one.ledger,
) {
  return handle(ledger, tally, id, { type, by, meta: m }, options);
}
const keyed = (key: string, hash = 'h', extra: Partial<Meta> = {}) => meta({ idempotency: { key, hash }, ...extra });
const sums = async (id: string) =>
  (await one.ledger.read(`tally-${id}`)).map(({ data }) => (data as { by: number }).by);

test('read, decide, append', async () => {
  const id = randomUUID();
  const opened = await order('Open', id, 5, meta(), { creating: true });
  expect(opened).toMatchObject({
    stream: `tally-${id}`,
    version: 1,
    repeated: false,
    events: [{ type: 'Opened', data: { by: 5 } }],
  });
  const more = await order('Add', id, 7);
  expect(more).toMatchObject({ version: 2, events: [{ type: 'Added', version: 2 }] });
  expect(more.position).toBe(await one.ledger.head());
  expect(await order('Rest', id)).toMatchObject({ version: 2, position: more.position, events: [], repeated: false });
  await expect(order('Add', id, 101)).rejects.toMatchObject({ kind: 'rejected', code: 'TOO_MUCH' });
});

test('a creating order for a stream that exists decides again on what is there', async () => {
  const id = randomUUID();
  await order('Open', id, 1, meta(), { creating: true });
  expect(await order('Open', id, 1, meta(), { creating: true })).toMatchObject({ events: [], version: 1 });
});

test('a repeated order answers its own first events, though the stream went on', async () => {
  const id = randomUUID();
  const m = meta();
  const first = await order('Open', id, 3, m, { creating: true });
  await order('Add', id, 4);
  const again = await order('Open', id, 3, m, { creating: true });
  expect(again).toMatchObject({ repeated: true, position: first.position, version: 1 });
  expect(again.events.map(({ id }) => id)).toEqual(first.events.map(({ id }) => id));
  const add = meta();
  await order('Add', id, 5, add);
  await order('Add', id, 6);
  expect(await order('Add', id, 5, add)).toMatchObject({ repeated: true, version: 3, events: [{ data: { by: 5 } }] });
  expect(await sums(id)).toEqual([3, 4, 5, 6]);
});

test('orders to one stream in one process never conflict', async () => {
  const id = randomUUID();
  const results = await Promise.all(Array.from({ length: 30 }, (_, i) => order('Add', id, i)));
  expect(results.map(({ version }) => version)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
});

test('a refused order does not hold up those behind it', async () => {
  const id = randomUUID();
  const results = await Promise.allSettled([order('Add', id), order('Add', id, 500), order('Add', id)]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});

test('a conflict with another process decides again, five times at most', async () => {
  const id = randomUUID();
  let rivals = 4;
  let asked = 0;
  const rival: Options = {
    alongside: () => {
      asked++;
      return {};
    },
  };
  // Each decision is overtaken by another process until its patience ends.
  const overtaken = new Proxy(one.ledger, {
    get(target, name: keyof Ledger) {
      if (name !== 'append')
        return typeof target[name] === 'function' ? (target[name] as () => unknown).bind(target) : target[name];
      return async (append: Parameters<Ledger['append']>[0]) => {
        if (rivals-- > 0) await two.ledger.append(added(append.stream, null));
        return target.append(append);
      };
    },
  });
  expect(await order('Add', id, 9, meta(), rival, overtaken)).toMatchObject({
    version: 5,
    events: [{ data: { by: 9 } }],
  });
  expect(asked).toBe(5);
  rivals = 5;
  await expect(order('Add', id, 9, meta(), rival, overtaken)).rejects.toMatchObject({
    kind: 'conflict',
    code: 'STREAM_BUSY',
  });
});

test('what the caller knows saves the read, and is read again when stale', async () => {
  const id = randomUUID();
  const { version } = await order('Open', id, 1);
  expect(await order('Add', id, 2, meta(), { known: { state: { sum: 1, open: true }, version } })).toMatchObject({
    version: 2,
  });
  expect(await order('Add', id, 3, meta(), { known: { state: { sum: 1, open: true }, version } })).toMatchObject({
    version: 3,
  });
});

test('the same key and body answers the first result, another body is malformed', async () => {
  const [id, other] = [randomUUID(), randomUUID()];
  const first = await order('Open', id, 1, keyed('k1'), { creating: true });
  await order('Add', id, 2);
  const again = await order('Open', other, 1, keyed('k1'), { creating: true });
  expect(again).toMatchObject({ stream: first.stream, position: first.position, version: 1, repeated: true });
  expect(again.events).toHaveLength(1);
  expect(await sums(other)).toEqual([]);
  await expect(order('Open', other, 1, keyed('k1', 'other'))).rejects.toMatchObject({
    kind: 'malformed',
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  expect(await order('Open', other, 1, keyed('k1', 'other', { actor: 'eve' }))).toMatchObject({ repeated: false });
});

test('a key is kept by an order that changed nothing, and not by one that was refused', async () => {
  const id = randomUUID();
  await order('Open', id);
  expect(await order('Rest', id, 1, keyed('k2'))).toMatchObject({ events: [], repeated: false });
  expect(await order('Rest', id, 1, keyed('k2'))).toMatchObject({ events: [], repeated: true });
  await expect(order('Add', id, 1, keyed('k2', 'other'))).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  await expect(order('Add', id, 999, keyed('k3'))).rejects.toMatchObject({ code: 'TOO_MUCH' });
  expect(await order('Add', id, 9, keyed('k3'))).toMatchObject({ repeated: false, version: 2 });
});

test('twenty at once with one key make one stream, whatever streams they name', async () => {
  for (const commandId of [undefined, randomUUID()]) {
    const key = `race-${commandId}`;
    const ids = Array.from({ length: 20 }, () => randomUUID());
    const neighbours = Array.from({ length: 20 }, () => randomUUID());
    const [raced, others] = await Promise.all([
      Promise.all(
        ids.map((id, i) => {
          const m = keyed(key, 'h', commandId ? { commandId } : {});
          return order('Open', id, 1, m, { creating: true }, i % 2 ? one.ledger : two.ledger);
        }),
      ),
      Promise.all(neighbours.map((id) => order('Open', id, 1, meta(), { creating: true }))),
    ]);
    expect(new Set(raced.map(({ stream, position }) => `${stream} ${position}`)).size).toBe(1);
    expect(raced.filter(({ repeated }) => !repeated)).toHaveLength(1);
    expect(others.every(({ repeated }) => !repeated)).toBe(true);
    const text = 'select count(distinct stream)::int as n from event where stream = any($1)';
    expect((await one.pool.query(text, [ids.map((id) => `tally-${id}`)])).rows).toEqual([{ n: 1 }]);
  }
});

test('a race with one key and two bodies carries out one of them', async () => {
  const id = randomUUID();
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) =>
      order('Add', id, i, keyed('k4', i % 2 ? 'odd' : 'even'), {}, i < 5 ? one.ledger : two.ledger),
    ),
  );
  expect(await sums(id)).toHaveLength(1);
  const refused = results.filter((result) => result.status === 'rejected');
  expect(refused).toHaveLength(5);
  expect(refused.every(({ reason }) => (reason as { code: string }).code === 'IDEMPOTENCY_KEY_REUSED')).toBe(true);
});

describe('appends together with the order', () => {
  const others = (many: number) => Array.from({ length: many }, () => added(newStream(), 0, [1, 2]));
  const lengths = (appends: Append[]) =>
    Promise.all(appends.map(async ({ stream }) => (await one.ledger.read(stream)).length));

  test('are in its commit, behind it; a repeat brings none of its own', async () => {
    const [id, m, together] = [randomUUID(), keyed('k5'), others(3)];
    const { position } = await order('Open', id, 1, m, { creating: true, together });
    const found = await Promise.all(together.map(({ stream }) => one.ledger.read(stream)));
    expect(found.flat().map((event) => Number(event.position) - Number(position))).toEqual([1, 2, 3, 4, 5, 6]);
    const more = others(4);
    expect(await order('Open', id, 1, m, { creating: true, together: more })).toMatchObject({
      repeated: true,
      position,
    });
    await expect(order('Add', id, 101, meta(), { together: more })).rejects.toMatchObject({ code: 'TOO_MUCH' });
    expect(await lengths(more)).toEqual([0, 0, 0, 0]);
  });

  test('of many at once that make one stream only those of the first are there', async () => {
    for (const ledger of [one.ledger, two.ledger]) {
      const id = randomUUID();
      const all = Array.from({ length: 6 }, (_, i) => others(i + 1));
      await Promise.all(
        all.map((together, i) =>
          order('Open', id, i, meta(), { creating: true, together }, i % 2 ? ledger : one.ledger),
        ),
      );
      const [by] = await sums(id);
      expect(await Promise.all(all.map(lengths))).toEqual(all.map((each, i) => each.map(() => (i === by ? 2 : 0))));
    }
  });

  test('an order that another process overtook takes them along when it is decided again', async () => {
    const [id, together] = [randomUUID(), others(2)];
    const { version } = await order('Open', id);
    await order('Add', id, 2, meta(), {}, two.ledger);
    expect(
      await order('Add', id, 3, meta(), { known: { state: { sum: 1, open: true }, version }, together }),
    ).toMatchObject({ version: 3 });
    expect(await lengths(together)).toEqual([2, 2]);
  });
});
