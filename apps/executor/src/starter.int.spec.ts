import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '#domain';
import { Rescuer } from '#admission';
import { type Context } from '#service';
import { bornOf, eventsOf, metaBy, shell, typesOf, World } from '../../../libs/testing/src/context.js';
import { type Claimed } from './attempt.js';
import { Lease } from './lease.js';
import { Starter } from './starter.js';

let world: World;
let context: Context;
let lease: Lease | null;
let starter: Starter;
const begun: Claimed[] = [];

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
});
afterAll(() => world.close());

async function fresh(): Promise<Lease> {
  const taken = new Lease(context.pool, newId(), 'host-1');
  await taken.take();
  begun.length = 0;
  starter = new Starter(
    context.ledger,
    () => lease,
    (run) => begun.push(run),
  );
  return (lease = taken);
}
const queueRow = async (id: string) =>
  (await context.pool.query<Record<string, unknown>>('select * from queue where run_id = $1', [id])).rows[0];

describe('a no-op asked for by hand', () => {
  test('is started by its birth, held by whoever was asked, and begun once', async () => {
    const { executor } = await fresh();
    const id = newId();
    const meta = metaBy('ann');
    const handled = await starter.start(id, bornOf(), meta);
    expect(handled?.events.map(({ type }) => type)).toEqual(['RunRequested', 'RunStarted']);
    const { epoch } = begun[0]!;
    expect(begun).toEqual([
      expect.objectContaining({ run: id, attempt: 1, version: 2, correlation: meta.correlationId }),
    ]);
    expect(await queueRow(id)).toMatchObject({ running: true, attempt: 1, version: 2, executor, epoch });
    const [, started] = await eventsOf(context, id);
    expect(started!.data).toMatchObject({ attempt: 1, epoch, executor, server: 'host-1' });
    expect(starter.isStarting(epoch)).toBe(false);
  });

  test('asked for twice with one key it is begun once', async () => {
    await fresh();
    const id = newId();
    const meta = { ...metaBy('ann'), idempotency: { key: newId(), hash: 'h' } };
    const [first, second] = [await starter.start(id, bornOf(), meta), await starter.start(id, bornOf(), meta)];
    expect(second).toMatchObject({ repeated: true, position: first!.position });
    expect(second!.events.map(({ id: event }) => event)).toEqual(first!.events.map(({ id: event }) => event));
    expect(begun).toHaveLength(1);
  });

  test('queues when its executor was judged dead, and the neighbours of its flush are not harmed', async () => {
    const { executor } = await fresh();
    await context.pool.query(
      `update executor_lease set until = clock_timestamp() - interval '1 s' where executor = $1`,
      [executor],
    );
    const id = newId();
    const neighbour = context.ledger.append({
      ...{ stream: `run-${newId()}`, expected: 0, meta: metaBy() },
      events: [{ type: 'RunRequested', data: { ...bornOf(), priority: 5, requestedAt: new Date().toISOString() } }],
    });
    expect(await starter.start(id, bornOf(), metaBy())).toBeNull();
    expect((await neighbour).verdict.verdict).toBe('appended');
    expect([await eventsOf(context, id), await queueRow(id), begun]).toEqual([[], undefined, []]);
  });

  test('is lost, not forgotten, when its executor dies before it is begun', async () => {
    const { executor } = await fresh();
    const id = newId();
    await starter.start(id, bornOf(), metaBy());
    await new Lease(context.pool, executor, '').giveBack();
    await new Rescuer(context.ledger, () => undefined).sweep();
    expect(await typesOf(context, id)).toEqual(['RunRequested', 'RunStarted', 'RunLost']);
    expect(await queueRow(id)).toBeUndefined();
  });
});

test.each([
  ['what takes a slot', () => shell('true')],
  ['what is scheduled', () => ({ scheduledFor: new Date().toISOString() })],
])('%s queues', async (_, more) => {
  await fresh();
  expect(await starter.start(newId(), bornOf(more()), metaBy())).toBeNull();
});

test('nothing is begun while there is no room, or no lease', async () => {
  await fresh();
  lease = null;
  expect(await starter.start(newId(), bornOf(), metaBy())).toBeNull();
  expect(begun).toEqual([]);
});
