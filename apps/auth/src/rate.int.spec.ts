import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId } from '#domain';
import { type Context } from '#service';
import { World } from '../../../libs/testing/src/context.js';
import { RateController } from './rate.controller.js';

let world: World;
let contexts: Context[];
let rates: RateController[];

beforeAll(async () => {
  world = await World.create();
  contexts = await Promise.all([world.open(), world.open()]);
  rates = contexts.map((context) => new RateController(context));
});
afterAll(() => world.close());

const take = (n: number, key: string, seconds = 60) =>
  rates[n % 2]!.take({ data: { key, seconds }, meta: { actor: 'system', correlationId: newId() } });

test('one count, whoever is asked, also at once', async () => {
  const taken = await Promise.all(Array.from({ length: 20 }, (_, n) => take(n, 'requests of ann')));
  expect(taken.map(({ count }) => count).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  for (const { resetInSeconds } of taken) expect(resetInSeconds).toBeGreaterThan(50);
  expect(await take(0, 'requests of ben')).toEqual({ count: 1, resetInSeconds: 60 });
});

test('a window is over at its end, however often it was counted, and the next begins with the first after it', async () => {
  for (let n = 0; n < 3; n++) await take(n, 'short', 1);
  await sleep(1_100);
  expect(await take(1, 'short', 1)).toEqual({ count: 1, resetInSeconds: 1 });
});

test('the words themselves are nowhere; what is over is swept', async () => {
  await take(0, 'login as hunter2', 1);
  const kept = async () => JSON.stringify((await contexts[0]!.pool.query('select * from rate_window')).rows);
  expect(await kept()).not.toContain('hunter2');
  const before = (await contexts[0]!.pool.query('select from rate_window')).rowCount!;
  await sleep(1_100);
  await rates[0]!.sweep();
  expect((await contexts[0]!.pool.query('select from rate_window')).rowCount).toBeLessThan(before);
});
