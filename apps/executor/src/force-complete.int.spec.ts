import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { foldRun, isOver, type ForcedStatus, type RunRow } from '#domain';
import { report } from '#admission';
import { type Context } from '#service';
import {
  eventsOf,
  eventually,
  fire,
  happens,
  metaBy,
  request,
  shell,
  typesOf,
  World,
} from '../../../libs/testing/src/context.js';
import { ServiceProcess } from '../../../libs/testing/src/service-process.js';
import { Executor } from './executor.js';
import { alive, withWord } from './launcher/launcher.harness.js';
import { readOutput } from './output-store.js';

let world: World;
let context: Context;

beforeAll(async () => {
  world = await World.create();
  context = await world.open({ RUNLEDGER_EXECUTOR_SLOTS: '2' });
});
afterAll(() => world.close());

const force = (run: string, status: ForcedStatus = 'failed', actor = 'ann') =>
  report(context.ledger, run, { type: 'ForceCompleteRun', meta: metaBy(actor), data: { status, any: false } });

async function rowOf(run: string): Promise<RunRow> {
  return (await eventsOf(context, run)).reduce<RunRow | null>((row, event) => foldRun(row, run, event), null)!;
}

async function queued(run: string): Promise<number | null> {
  return (await context.pool.query('select from queue where run_id = $1', [run])).rowCount;
}

async function printed(run: string): Promise<string> {
  const { chunks } = await readOutput(context.pool, { run, after: null, limit: 1_000_000 });
  return chunks.map(({ bytes }) => Buffer.from(bytes, 'base64').toString()).join('');
}
const pidOf = (run: string) => eventually(async () => Number((await printed(run)).split('\n')[0]) || undefined, 15_000);

describe('a living executor', () => {
  let executor: Executor;
  beforeAll(async () => {
    executor = new Executor(context);
    await executor.onApplicationBootstrap();
  });
  afterAll(() => executor.onApplicationShutdown());

  test('a waiting run ends and never starts', async () => {
    const run = await fire(context, 'waiting', 600_000, shell('true'));
    await force(run, 'succeeded');
    expect(await queued(run)).toBe(0);
    expect(await rowOf(run)).toMatchObject({ status: 'succeeded', startedAt: null });
    expect(await typesOf(context, run)).toEqual(['RunRequested', 'RunForceCompleted']);
  });

  test('a running one ends at once; then its whole tree is dead, and its slot serves the next', async () => {
    const line = `trap '' TERM; echo $$; (setsid sh -c "trap '' TERM; exec sleep 4711" &); sleep 4711`;
    const runs = await Promise.all([request(context, shell(line)), request(context, shell(line))]);
    const pids = await Promise.all(runs.map(pidOf));
    await eventually(() => withWord('sleep\u00004711').length >= 4, 15_000);
    await expect(force(runs[0], 'failed', 'eve')).rejects.toMatchObject({ kind: 'not-found' });
    for (const run of runs) {
      await force(run, 'cancelled');
      expect(await queued(run)).toBe(0);
      expect(await rowOf(run)).toMatchObject({ status: 'cancelled', reason: 'force-completed', exitCode: null });
    }
    for (const run of runs) await happens(context, run, 'RunLateReported');
    expect(pids.filter(alive)).toEqual([]);
    expect(withWord('sleep\u00004711')).toEqual([]);
    for (const run of runs) expect(await rowOf(run)).toMatchObject({ status: 'cancelled' });
    const next = await Promise.all([request(context, shell('true')), request(context, shell('true'))]);
    for (const run of next) await happens(context, run, 'RunSucceeded');
  });

  test('a run that waits for its next attempt has none', async () => {
    const policies = { retry: { attempts: 3, delay: '10m' } };
    const run = await request(context, { ...shell('exit 3'), policies });
    await happens(context, run, 'RunRetryScheduled');
    await force(run, 'failed');
    expect(await queued(run)).toBe(0);
    expect(await rowOf(run)).toMatchObject({ status: 'failed', attempt: 1, exitCode: 3, reason: 'force-completed' });
  });

  test('over already: the verdict is another, and the first one stays in the history', async () => {
    const run = await request(context, shell('exit 3'));
    const { data } = await happens(context, run, 'RunFailed');
    await force(run, 'succeeded');
    expect(await rowOf(run)).toMatchObject({ status: 'succeeded', exitCode: 3, reason: null, finishedAt: data.at });
    expect(await typesOf(context, run)).toEqual(['RunRequested', 'RunStarted', 'RunFailed', 'RunForceCompleted']);
  });

  test('at the very moment of its start or of its own end: one history or the other, and nothing is left', async () => {
    const runs = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const run = await request(context, shell(`exec sleep ${i % 3 === 0 ? 4712 : '0.03'}`));
        await new Promise((resolve) => setTimeout(resolve, (i * 7) % 90));
        await force(run, 'cancelled');
        return run;
      }),
    );
    await eventually(() => withWord('sleep\u00004712').length === 0, 20_000);
    for (const run of runs) {
      expect(await rowOf(run)).toMatchObject({ status: 'cancelled' });
      const types = (await typesOf(context, run)).filter((type) => type !== 'RunLateReported');
      expect(['RunForceCompleted', 'RunStarted', 'RunSucceeded']).toContain(types[1]);
      expect(types.indexOf('RunForceCompleted')).toBe(types.length - 1);
      expect(await queued(run)).toBe(0);
    }
    const free = await Promise.all([request(context, shell('true')), request(context, shell('true'))]);
    for (const run of free) await happens(context, run, 'RunSucceeded');
  });
});

test('its executor killed: ended meanwhile, and whoever comes back ends the command and changes nothing', async () => {
  const start = async () => {
    const env = {
      ...{ DATABASE_URL: world.url, RUNLEDGER_DATA: path.join(world.dir, 'back'), RUNLEDGER_EXECUTOR_SLOTS: '1' },
      ...{ RUNLEDGER_MASTER_KEY_FILE: world.masterKeyFile },
      RUNLEDGER_EXECUTOR_ON_STOP: 'end',
    };
    return ServiceProcess.start('apps/executor/src/main.js', env, world.dir, 'executor ready');
  };
  const first = await start();
  const run = await request(context, shell('echo $$; sleep 4713'));
  const pid = await pidOf(run);
  await first.end('SIGKILL');
  await force(run, 'succeeded');
  const { status } = await rowOf(run);
  expect([status, isOver(status), await queued(run)]).toEqual(['succeeded', true, 0]);
  const second = await start();
  try {
    await eventually(() => !alive(pid), 15_000);
    await happens(context, run, 'RunLateReported');
    expect(await rowOf(run)).toMatchObject({ status: 'succeeded' });
    await happens(context, await request(context, shell('true')), 'RunSucceeded');
  } finally {
    await second.end('SIGTERM');
    for (const each of withWord(world.dir)) process.kill(each, 'SIGKILL');
  }
}, 90_000);
