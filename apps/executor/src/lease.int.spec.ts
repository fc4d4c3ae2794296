import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { newId, type RunEvent } from '#domain';
import { report, Rescuer } from '#admission';
import { systemMeta, type Context } from '#service';
import { eventsOf, eventually, metaBy, request, shell, typesOf, World } from '../../../libs/testing/src/context.js';
import { adopt, takeLeftovers } from './adoption.js';
import { ended, type Claimed } from './attempt.js';
import { Lease } from './lease.js';

let world: World;
let contexts: Context[];
let context: Context;
let lost: string[] = [];
const judge = (from = context) => new Rescuer(from.ledger, (run) => lost.push(run));

beforeAll(async () => {
  world = await World.create();
  contexts = await Promise.all([world.open(), world.open(), world.open()]);
  context = contexts[0]!;
});
afterEach(async () => {
  lost = [];
  await context.pool.query('delete from queue; delete from executor_lease');
});
afterAll(() => world.close());

async function held(executor: string, policies = {}): Promise<Claimed> {
  const lease = new Lease(context.pool, executor, 'host');
  if ((await lease.renew()) === null) await lease.take();
  await request(context, { ...shell('sleep 60'), policies });
  const { claim } = await context.ledger.call({ claim: [{ executor, slots: 1, light: 0 }] });
  return (claim as { claimed: Claimed[] }).claimed[0]!;
}
const expire = (executor: string) =>
  context.pool.query(`update executor_lease set until = clock_timestamp() - interval '1 s' where executor = $1`, [
    executor,
  ]);
const finish = ({ run, attempt, epoch }: Claimed, exitCode: number) =>
  report(context.ledger, run, {
    type: 'FinishRun',
    meta: systemMeta(newId(), newId()),
    data: { attempt, epoch, outcome: ended({ exitCode }) },
  });
const lastOf = async (run: string): Promise<RunEvent> => (await eventsOf(context, run)).at(-1)!;

test('a renewal answers what is held, with what was cancelled', async () => {
  const one = await held('renewing');
  const two = await held('renewing');
  await report(context.ledger, two.run, { type: 'CancelRun', meta: metaBy(), data: { reason: null, any: false } });
  const lease = new Lease(context.pool, 'renewing', 'host');
  const answer = await lease.renew();
  expect(answer).toHaveLength(2);
  expect(answer).toContainEqual({ run: one.run, epoch: String(one.epoch), cancel: false });
  expect(answer).toContainEqual({ run: two.run, epoch: String(two.epoch), cancel: true });
  await lease.giveBack();
  expect(await lease.renew()).toBeNull();
});

test('one sighting condemns nobody, nor do two of different leases; two of the same do', async () => {
  const { run } = await held('paused');
  const sweeper = judge();
  await expire('paused');
  expect(await sweeper.sweep()).toBe(0);
  await sleep(3_100);
  // It woke, renewed, and was paused again: what was seen before does not count.
  expect(await new Lease(context.pool, 'paused', 'host').renew()).not.toBeNull();
  await expire('paused');
  expect(await sweeper.sweep()).toBe(0);
  expect(await typesOf(context, run)).toEqual(['RunRequested', 'RunStarted']);
  await sleep(3_100);
  expect(await sweeper.sweep()).toBe(1);
  expect(await lastOf(run)).toMatchObject({
    type: 'RunLost',
    data: { attempt: 1, reason: 'its executor died or was out of reach' },
  });
  expect((await context.pool.query('select from executor_lease')).rowCount).toBe(0);
  expect(await new Lease(context.pool, 'paused', 'host').renew()).toBeNull();
});

test('three judges come to one verdict for each run, and the retry policy has its say', async () => {
  const policies = { retry: { attempts: 2, delay: '1h' } };
  const claimed = [await held('dead'), await held('dead', policies), await held('dead')];
  await context.pool.query(`delete from executor_lease where executor = 'dead'`);
  await Promise.all(contexts.map((each) => judge(each).sweep()));
  for (const { run } of claimed) {
    expect((await typesOf(context, run)).filter((type) => type === 'RunLost')).toHaveLength(1);
  }
  expect(new Set(lost)).toEqual(new Set(claimed.map(({ run }) => run)));
  const retried = claimed[1]!.run;
  expect((await typesOf(context, retried)).at(-1)).toBe('RunRetryScheduled');
  const { rows } = await context.pool.query<{ run_id: string; running: boolean; executor: string | null }>(
    'select run_id, running, executor from queue',
  );
  expect(rows).toEqual([{ run_id: retried, running: false, executor: null }]);
});

test('what a fenced attempt reports is kept and changes nothing', async () => {
  const claimed = await held('late', { retry: { attempts: 2 } });
  await context.pool.query(`delete from executor_lease where executor = 'late'`);
  await judge().sweep();
  const second = await held('other');
  expect(second).toMatchObject({ run: claimed.run, attempt: 2 });
  await finish(claimed, 0);
  expect(await lastOf(claimed.run)).toMatchObject({
    type: 'RunLateReported',
    data: { attempt: 1, epoch: String(claimed.epoch), outcome: 'exit code 0' },
  });
  expect((await context.pool.query('select from queue where running and run_id = $1', [claimed.run])).rowCount).toBe(1);
  const progress = { attempt: 1, epoch: String(claimed.epoch), progress: 5 };
  const meta = systemMeta(newId(), newId());
  expect((await report(context.ledger, claimed.run, { type: 'ReportProgress', meta, data: progress })).events).toEqual(
    [],
  );
  await finish(second, 0);
  expect((await lastOf(claimed.run)).type).toBe('RunSucceeded');
});

test('what the judge has taken can no longer be adopted; what he has not can, once', async () => {
  const judged = await held('gone');
  const free = await held('gone');
  await context.pool.query(`update queue set executor = 'judge' where run_id = $1`, [judged.run]);
  expect(await adopt(context.pool, 'heir', judged.run, judged.epoch)).toBeNull();
  expect(await adopt(context.pool, 'heir', free.run, String(BigInt(free.epoch) + 1n))).toBeNull();
  expect(await adopt(context.pool, 'heir', free.run, free.epoch)).toMatchObject({ run: free.run, attempt: 1 });
  expect(await takeLeftovers(context.pool, 'heir', 'gone')).toEqual([]);
});

test('the scheduler judges only while no executor is alive', async () => {
  const { run } = await held('alone');
  await new Lease(context.pool, 'living', 'host').take();
  await context.pool.query(`delete from executor_lease where executor = 'alone'`);
  expect(await judge().sweep(true)).toBe(0);
  await expire('living');
  expect(await judge().sweep(true)).toBe(1);
  expect((await lastOf(run)).type).toBe('RunLost');
});

test('an end that is reported while the judge decides: one of the two, never both', async () => {
  for (let i = 0; i < 20; i++) {
    const claimed = await held(`racing-${i}`);
    await context.pool.query('delete from executor_lease where executor = $1', [`racing-${i}`]);
    await Promise.all([finish(claimed, 0), judge(contexts[1]).sweep()]);
    const types = await eventually(() => typesOf(context, claimed.run));
    const ends = types.filter((type) => type === 'RunSucceeded' || type === 'RunLost');
    expect(ends).toHaveLength(1);
    expect(types.at(-1)).toBe(ends[0] === 'RunLost' ? 'RunLateReported' : 'RunSucceeded');
  }
});
