import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { HttpReceiver } from '#testing';
import { type Context } from '#service';
import { eventually, request, shell, World } from '../../../../libs/testing/src/context.js';
import { ServiceProcess } from '../../../../libs/testing/src/service-process.js';
import { Courier } from './courier.js';
import { everythingAfter, subscribe, verified } from './webhooks.harness.js';

let world: World;
let context: Context;
let receiver: HttpReceiver;
let scheduler: ServiceProcess;

beforeAll(async () => {
  world = await World.create();
  context = await world.open({ RUNLEDGER_OUTBOUND_ALLOW: '127.0.0.1' });
  receiver = await HttpReceiver.start();
});
afterEach(async () => {
  await scheduler.end('SIGTERM');
  await context.pool.query('delete from subscription');
  receiver.received.length = 0;
});
afterAll(async () => {
  await receiver.close();
  await world.close();
});

async function startScheduler(): Promise<void> {
  const env = {
    ...{ DATABASE_URL: world.url, RUNLEDGER_DATA: path.join(world.dir, 'data'), RUNLEDGER_BARE: 'on' },
    ...{ RUNLEDGER_MASTER_KEY_FILE: world.masterKeyFile, RUNLEDGER_OUTBOUND_ALLOW: '127.0.0.1' },
  };
  scheduler = await ServiceProcess.start('apps/scheduler/src/main.js', env, world.dir, 'deliveries are made here');
}

async function requested(count: number): Promise<string[]> {
  const runs: string[] = [];
  for (let i = 0; i < count; i++) runs.push(`run-${await request(context, shell('true'))}`);
  return runs;
}

test('a scheduler that is killed while it delivers loses nothing: the next one goes on', async () => {
  const hook = await subscribe(context, receiver.url);
  const from = await context.ledger.head();
  const runs: string[] = [];
  for (let round = 0; round < 3; round++) {
    await startScheduler();
    runs.push(...(await requested(100)));
    await eventually(() => receiver.received.length > 100 * round + 20);
    await scheduler.end('SIGKILL');
  }
  // One request hangs while its sender dies.
  receiver.answer = () => undefined;
  await startScheduler();
  runs.push(...(await requested(1)));
  const before = receiver.connections;
  await eventually(() => receiver.connections > before);
  await scheduler.end('SIGKILL');
  receiver.answer = null;
  await startScheduler();
  const events = await everythingAfter(context, from);
  expect(events.map(({ stream }) => stream)).toEqual(runs);
  const got = () => verified(hook, receiver.received).map(({ position }) => position);
  await eventually(() => new Set(got()).size === events.length);
  expect([...new Set(got())]).toEqual(events.map(({ position }) => position));
  // What was under way when it died may come twice, and no more than that.
  expect(got().length - events.length).toBeLessThanOrEqual(4);
  const names = receiver.received.map(({ headers }) => headers['x-runledger-delivery']);
  expect(new Set(names).size).toBe(events.length);
}, 90_000);

test('of a scheduler that stands still another one takes over; when it goes on, nothing is out of order', async () => {
  const hook = await subscribe(context, receiver.url);
  const from = await context.ledger.head();
  await startScheduler();
  const other = new Courier(context);
  other.onApplicationBootstrap();
  try {
    const runs = await requested(50);
    await eventually(() => receiver.received.length >= 10);
    scheduler.child.kill('SIGSTOP');
    runs.push(...(await requested(50)));
    await eventually(() => new Set(verified(hook, receiver.received).map(({ position }) => position)).size === 100);
    scheduler.child.kill('SIGCONT');
    runs.push(...(await requested(50)));
    const events = await everythingAfter(context, from);
    expect(events.map(({ stream }) => stream)).toEqual(runs);
    const got = () => verified(hook, receiver.received).map(({ position }) => position);
    await eventually(() => new Set(got()).size === events.length);
    expect([...new Set(got())]).toEqual(events.map(({ position }) => position));
    expect(got().length - events.length).toBeLessThanOrEqual(4);
  } finally {
    scheduler.child.kill('SIGCONT');
    await other.onApplicationShutdown();
  }
}, 90_000);
