import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { bells, type Flushed } from '#bus';
import { newId } from '#domain';
import { type Context } from '#service';
import { bornOf, eventsOf, happens, metaBy, shell, typesOf, World } from '../../../libs/testing/src/context.js';
import { Executor } from './executor.js';

let world: World;
let context: Context;
let executor: Executor;
const heard: Flushed[] = [];

beforeAll(async () => {
  world = await World.create();
  context = await world.open({ RUNLEDGER_EXECUTOR_NAME: 'here' });
  context.bus.listen(bells.flushed, (flushed) => void heard.push(flushed));
  executor = new Executor(context);
  await executor.onApplicationBootstrap();
});
afterAll(async () => {
  await executor.onApplicationShutdown();
  await world.close();
});

const whole = ['RunRequested', 'RunStarted', 'RunSucceeded'];
const rowsOf = async (id: string) =>
  (await context.pool.query('select from queue where run_id = $1', [id])).rowCount ?? 0;

describe('a no-op asked for by hand', () => {
  test('is one append from its request to its end, and never queues', async () => {
    const id = newId();
    const { events, position } = await executor.request(id, bornOf(), metaBy('ann'));
    expect(events.map(({ type }) => type)).toEqual(whole);
    expect(events.map((event) => Number(event.position) - Number(position))).toEqual([-2, -1, 0]);
    expect(events[1]!.data).toMatchObject({ attempt: 1, server: 'here', epoch: expect.stringMatching(/^\d+$/) });
    expect(events[2]!.data).toMatchObject({ attempt: 1, exitCode: 0, output: null });
    expect(await typesOf(context, id)).toEqual(whole);
    expect(await rowsOf(id)).toBe(0);
    const bell = heard.find(({ last }) => last === position);
    expect(bell).toMatchObject({ types: whole, hooks: [] });
  });

  test('asked for twice with one key it ran once, and both are told of that', async () => {
    const id = newId();
    const meta = { ...metaBy('ann'), idempotency: { key: newId(), hash: 'h' } };
    const first = await executor.request(id, bornOf(), meta);
    const second = await executor.request(id, bornOf(), meta);
    expect(second).toMatchObject({ repeated: true, position: first.position });
    expect(second.events.map(({ id: event }) => event)).toEqual(first.events.map(({ id: event }) => event));
    expect(await eventsOf(context, id)).toHaveLength(3);
  });

  test('two have different epochs', async () => {
    const ids = [newId(), newId()];
    const all = await Promise.all(ids.map((id) => executor.request(id, bornOf(), metaBy())));
    const epochs = all.map(({ events }) => (events[1]!.data as { epoch: string }).epoch);
    expect(new Set(epochs).size).toBe(2);
  });
});

test.each([
  ['what takes a slot', () => shell('true')],
  ['what is scheduled', () => ({ scheduledFor: new Date().toISOString() })],
])('%s is requested alone, and claimed', async (_, more) => {
  const id = newId();
  const { events, position } = await executor.request(id, bornOf(more()), metaBy());
  expect(events.map(({ type }) => type)).toEqual(['RunRequested']);
  await happens(context, id, 'RunSucceeded');
  expect(
    heard.find(({ first, last }) => BigInt(first) <= BigInt(position) && BigInt(position) <= BigInt(last)),
  ).toEqual(expect.objectContaining({ hooks: expect.arrayContaining(['queue_add']) }));
  expect(await rowsOf(id)).toBe(0);
});
