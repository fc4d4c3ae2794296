import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Context } from '#service';
import { eventsOf, eventually, happens, request, shell, typesOf, World } from '../../../libs/testing/src/context.js';
import { ServiceProcess } from '../../../libs/testing/src/service-process.js';
import { alive, withWord } from './launcher/launcher.harness.js';
import { readOutput } from './output-store.js';

let world: World;
let context: Context;
const running = new Set<ServiceProcess>();

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
});
afterEach(async () => {
  for (const executor of running) await executor.end('SIGKILL');
  running.clear();
  // Launchers outlive their executors: that is what they are for.
  for (const pid of withWord(world.dir)) process.kill(pid, 'SIGKILL');
  await context.pool.query('delete from queue; delete from executor_lease');
});
afterAll(() => world.close());

const dataOf = (name: string) => path.join(world.dir, name);

async function start(name: string, env: NodeJS.ProcessEnv = {}): Promise<ServiceProcess> {
  const settings = {
    ...{ DATABASE_URL: world.url, RUNLEDGER_DATA: dataOf(name), RUNLEDGER_EXECUTOR_NAME: name },
    ...{ RUNLEDGER_EXECUTOR_SLOTS: '8', RUNLEDGER_MASTER_KEY_FILE: world.masterKeyFile, ...env },
  };
  const executor = await ServiceProcess.start('apps/executor/src/main.js', settings, world.dir, 'executor ready');
  running.add(executor);
  return executor;
}

async function printed(run: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let after: { attempt: number; seq: number } | null = null; ;) {
    const page = await readOutput(context.pool, { run, after, limit: 1_000_000 });
    parts.push(...page.chunks.map(({ bytes }) => Buffer.from(bytes, 'base64')));
    const last = page.chunks.at(-1);
    if (!page.more || !last) return Buffer.concat(parts);
    after = last;
  }
}
const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const pidOf = (run: string) =>
  eventually(async () => Number((await printed(run)).toString().split('\n')[0]) || undefined);

test('killed and back: every run goes on, byte for byte, and what ended meanwhile is told as it ended', async () => {
  const first = await start('back');
  const chatty = await request(
    context,
    shell('i=1; while [ $i -le 150 ]; do echo "line $i"; sleep 0.02; i=$((i+1)); done'),
  );
  const loud = await request(context, shell('seq 1 200000; sleep 2; seq 200001 400000'));
  const failing = await request(context, shell('echo $$; sleep 1; echo out; exit 7'));
  const dying = await request(context, shell('echo $$; sleep 1; kill -9 $$'));
  const cancelled = await request(context, shell('echo $$; sleep 60'));
  for (const run of [chatty, failing, dying, cancelled]) await eventually(async () => (await printed(run)).length > 0);
  await first.end('SIGKILL');
  await context.pool.query('update queue set cancel = true where run_id = $1', [cancelled]);
  await sleep(1_500);
  const launchers = withWord(dataOf('back'));
  await start('back');
  expect(withWord(dataOf('back'))).toEqual(launchers);

  const numbers = (to: number) => Array.from({ length: to }, (_, i) => i + 1);
  const expected = new Map([
    [chatty, numbers(150).map((n) => `line ${n}\n`)],
    [loud, numbers(400_000).map((n) => `${n}\n`)],
  ]);
  for (const [run, lines] of expected) {
    const { data } = await happens(context, run, 'RunSucceeded');
    const bytes = Buffer.from(lines.join(''));
    expect((await printed(run)).equals(bytes)).toBe(true);
    expect(data.output).toEqual({ bytes: bytes.length, stored: bytes.length, truncated: false, sha256: sha(bytes) });
  }
  expect((await happens(context, failing, 'RunFailed')).data).toMatchObject({ exitCode: 7, signal: null });
  expect((await happens(context, dying, 'RunFailed')).data).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
  for (const run of [chatty, loud, failing, dying]) {
    expect((await typesOf(context, run)).filter((type) => type === 'RunStarted')).toHaveLength(1);
  }
  const pid = await pidOf(cancelled);
  await eventually(() => !alive(pid));
});

test('its launcher killed: the runs are lost, none of their processes is left, and new ones start', async () => {
  await start('launcher');
  const run = await request(context, shell('echo $$; (setsid sleep 301 &) ; sleep 300'));
  const pid = await pidOf(run);
  const [launcher] = withWord(dataOf('launcher')).filter((each) => running.values().next().value?.child.pid !== each);
  process.kill(launcher!, 'SIGKILL');
  expect((await happens(context, run, 'RunLost')).data.reason).toBe('its launcher died');
  await eventually(() => !alive(pid) && withWord('sleep\u0000301').length === 0);
  const next = await request(context, shell('true'));
  await happens(context, next, 'RunSucceeded');
});

test('asked to end: exits 0 while its command goes on, and the next one adopts it', async () => {
  const first = await start('drain');
  const gate = path.join(world.dir, 'gate');
  const run = await request(context, shell(`echo $$; until [ -e ${gate} ]; do sleep 0.05; done; echo done`));
  const light = await Promise.all(Array.from({ length: 50 }, () => request(context)));
  const pid = await pidOf(run);
  expect(await first.end('SIGTERM')).toBe(0);
  expect(alive(pid)).toBe(true);
  await start('drain');
  writeFileSync(gate, '');
  await happens(context, run, 'RunSucceeded');
  expect((await printed(run)).toString()).toBe(`${pid}\ndone\n`);
  for (const each of light) await happens(context, each, 'RunSucceeded');
});

test('not back: another executor finds its run lost soon after its lease and tries again; what it reports later changes nothing', async () => {
  const [gone] = await Promise.all([start('gone'), start('other', { RUNLEDGER_EXECUTOR_SLOTS: '1' })]);
  // The only slot of the other one is taken, so the run goes to the one that is to die.
  const holding = await request(context, shell('echo $$; sleep 6'));
  const policies = { retry: { attempts: 2 } };
  const line = '[ "$RUNLEDGER_ATTEMPT" = 2 ] || { echo $$; exec sleep 300; }';
  await happens(context, holding, 'RunStarted');
  const run = await request(context, { ...shell(line), policies });
  const pid = await pidOf(run);
  const where = await happens(context, run, 'RunStarted');
  const dead = where.data.server === 'gone' ? gone : [...running].find((each) => each !== gone)!;
  await dead.end('SIGKILL');
  running.delete(dead);
  const died = Date.now();
  const text = `select extract(epoch from until)::float8 * 1000 as until from executor_lease join queue using (executor)
    where run_id = $1`;
  const { until } = (await context.pool.query<{ until: number }>(text, [run])).rows[0]!;
  expect(until - died).toBeLessThanOrEqual(20_000);
  const lost = await happens(context, run, 'RunLost');
  // Twice seen 3 s apart, which takes 6 s; the rest is for a busy machine.
  expect(Date.parse(lost.data.at) - until).toBeLessThan(20_000);
  expect(lost.data).toMatchObject({ attempt: 1, reason: 'its executor died or was out of reach' });
  // The launcher has ended it by itself: nobody renewed it for 15 s.
  expect(alive(pid)).toBe(false);
  await happens(context, run, 'RunSucceeded');
  await start(where.data.server);
  await happens(context, run, 'RunLateReported');
  const events = await eventsOf(context, run);
  const types = events.map(({ type }) => type);
  expect(types.slice(0, 4)).toEqual(['RunRequested', 'RunStarted', 'RunLost', 'RunRetryScheduled']);
  expect(events.findLast(({ type }) => type !== 'RunLateReported')).toMatchObject({
    type: 'RunSucceeded',
    data: { attempt: 2 },
  });
});
