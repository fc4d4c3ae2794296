import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Context } from '#service';
import { startPostgres, type Postgres } from '../../../deploy/local/postgres.js';
import { removeTestDir, testDir } from '#testing';
import { eventsOf, eventually, happens, request, shell, typesOf, World } from '../../../libs/testing/src/context.js';
import { ServiceProcess } from '../../../libs/testing/src/service-process.js';
import { readOutput } from './output-store.js';

const dir = testDir('store-away');
let server: Postgres;
let world: World;
let context: Context;
let executor: ServiceProcess;

const startServer = () => startPostgres({ dir: path.join(dir, 'pg'), log: path.join(dir, 'pg.log') });

beforeAll(async () => {
  server = await startServer();
  world = await World.create(server.url);
  context = await world.open();
  const env = {
    ...{ DATABASE_URL: server.url, RUNLEDGER_DATA: path.join(world.dir, 'data'), RUNLEDGER_EXECUTOR_SLOTS: '20' },
    RUNLEDGER_EXECUTOR_ON_STOP: 'end',
  };
  executor = await ServiceProcess.start('apps/executor/src/main.js', env, world.dir, 'executor ready');
});
afterAll(async () => {
  await executor.end('SIGTERM');
  await world.close();
  await server.stop();
  removeTestDir(dir);
});

async function printed(run: string): Promise<string> {
  const { chunks } = await readOutput(context.pool, { run, after: null, limit: 10_000_000 });
  return chunks.map(({ bytes }) => Buffer.from(bytes, 'base64').toString()).join('');
}

test('PostgreSQL dies and comes back 5 s later: every end, word and line of the time between is recorded', async () => {
  const counting = 'i=1; while [ $i -le 40 ]; do echo "line $i"; sleep 0.1; i=$((i+1)); done; exit 4';
  const counter = await request(context, shell(counting));
  const brief = await Promise.all(
    Array.from({ length: 8 }, (_, i) => request(context, shell(`sleep ${1 + i / 4}; exit ${i}`))),
  );
  const talker = await request(context, shell(`sleep 1; echo '##runledger {"progress": 77, "message": "last words"}'`));
  const long = await request(context, shell('sleep 8'));
  for (const run of [counter, ...brief, talker, long]) await happens(context, run, 'RunStarted');

  process.kill(server.pid, 'SIGQUIT');
  await eventually(
    async () =>
      !(await context.pool.query('select 1').then(
        () => true,
        () => false,
      )),
  );
  await expect(request(context)).rejects.toMatchObject({ kind: 'unavailable' });
  await sleep(5_000);
  server = await startServer();

  const { data } = await happens(context, counter, 'RunFailed');
  const lines = Array.from({ length: 40 }, (_, i) => `line ${i + 1}\n`).join('');
  expect(data).toMatchObject({ exitCode: 4, output: { bytes: lines.length, stored: lines.length } });
  expect(await printed(counter)).toBe(lines);
  for (const [i, run] of brief.entries()) {
    const end = await happens(context, run, i === 0 ? 'RunSucceeded' : 'RunFailed');
    expect(end.data).toMatchObject({ exitCode: i });
  }
  await happens(context, talker, 'RunSucceeded');
  const words = (await eventsOf(context, talker)).filter(({ type }) => type === 'RunProgressed');
  expect(words.at(-1)?.data).toMatchObject({ progress: 77, message: 'last words' });
  await happens(context, long, 'RunSucceeded');
  for (const run of [counter, ...brief, talker, long]) {
    expect((await typesOf(context, run)).filter((type) => type === 'RunStarted')).toHaveLength(1);
  }
  // It lives, and takes new work.
  expect(executor.hasEnded).toBe(false);
  await happens(context, await request(context, shell('true')), 'RunSucceeded');
  expect(executor.log).not.toContain('"level":"error"');
});
