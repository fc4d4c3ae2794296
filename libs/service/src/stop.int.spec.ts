import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createNatsBus, natsUsers, PostgresPayloads, subjects, type Bus } from '#bus';
import { newId, Refusal } from '#domain';
import { type Context } from '#service';
import { Client, freePort, natsAvailable, startTestNats, type TestNats } from '#testing';
import { eventually, World } from '../../testing/src/context.js';
import { ServiceProcess } from '../../testing/src/service-process.js';

let world: World;
let context: Context;
const started: ServiceProcess[] = [];
const adminPassword = 'correct horse';

beforeEach(async () => {
  world = await World.create();
  context = await world.open();
});
afterEach(async () => {
  for (const service of started.splice(0)) await service.end('SIGKILL');
  await world.close();
});

async function start(entry: string, until: string, env: NodeJS.ProcessEnv): Promise<ServiceProcess> {
  const settings = {
    ...{ DATABASE_URL: world.url, RUNLEDGER_DATA: path.join(world.dir, 'data'), RUNLEDGER_BARE: 'on' },
    ...{ RUNLEDGER_ADMIN_PASSWORD: adminPassword, RUNLEDGER_RATE_LIMITS: 'off', RUNLEDGER_EXECUTOR_ON_STOP: 'end' },
    ...env,
  };
  const service = await ServiceProcess.start(entry, settings, world.dir, until);
  started.push(service);
  return service;
}

/** Many who ask without a pause until they are told that nobody is there. */
async function load(people: number, ask: () => Promise<boolean>): Promise<void> {
  const one = async () => {
    while (await ask());
  };
  await Promise.all(Array.from({ length: people }, one));
}

async function missing(streams: string[]): Promise<string[]> {
  const text = 'select s from unnest($1::text[]) s where not exists (select from event e where e.stream = s)';
  return (await context.pool.query<{ s: string }>(text, [streams])).rows.map(({ s }) => s);
}

async function endsIn30s(service: ServiceProcess): Promise<void> {
  const before = performance.now();
  const exitCode = await service.end('SIGTERM');
  const said = exitCode === 0 ? [] : [service.child.signalCode, performance.now() - before, service.log.slice(-2_000)];
  expect([exitCode, ...said]).toEqual([0]);
  expect(performance.now() - before).toBeLessThan(30_000);
  expect(service.log).not.toContain('"level":"error"');
  expect(service.log).not.toContain('"level":"fatal"');
}

test('solo: what was answered 202 is in the ledger, no run is left half done', async () => {
  const port = await freePort();
  const service = await start('deploy/local/solo.js', 'Ctrl-C', { PORT: String(port) });
  const url = `http://127.0.0.1:${port}`;
  const form = new URLSearchParams({ username: 'admin', password: adminPassword });
  const { body } = await new Client(url).post<{ access_token: string }>('/api/v1/auth/token', form);
  const admin = new Client(url, { authorization: `Bearer ${body.access_token}` });
  const accepted: string[] = [];
  const others = new Map<number, number>();
  let n = 0;
  const loaded = load(24, async () => {
    const action = n++ % 20 ? { kind: 'noop' } : { kind: 'command', shell: 'sleep 0.2' };
    const answer = await admin.post<{ id: string }>('/api/v1/runs', { action }).catch(() => null);
    if (answer?.status === 202) accepted.push(answer.body.id);
    else if (answer) others.set(answer.status, (others.get(answer.status) ?? 0) + 1);
    return answer !== null;
  });
  await eventually(() => accepted.length > 300);
  await endsIn30s(service);
  await loaded;
  expect(await missing(accepted.map((id) => `run-${id}`))).toEqual([]);
  expect([...others.keys()].filter((status) => status !== 503)).toEqual([]);
  expect((await context.pool.query('select run_id from queue where running')).rows).toEqual([]);
  expect((await context.pool.query('select from executor_lease')).rowCount).toBe(0);
}, 180_000);

(natsAvailable() ? test : test.skip)(
  'a cluster’s services: every command that was answered has its event',
  async () => {
    const nats: TestNats = await startTestNats({ users: natsUsers() });
    const names = ['auth', 'scheduler', 'executor', 'history'] as const;
    const ready = { auth: 'first admin made', scheduler: '', executor: 'executor ready', history: '' };
    const services = await Promise.all(
      names.map((name) => start(`apps/${name}/src/main.js`, ready[name], { NATS_URL: nats.urlOf(name) })),
    );
    const payloads = new PostgresPayloads(context.pool);
    const bus: Bus = createNatsBus(nats.urlOf('gateway'), { service: 'gateway', payloads });
    await bus.connect();
    const meta = () => ({ actor: newId(), correlationId: newId() });
    const definition = { description: null, action: { kind: 'noop' as const }, triggers: [], policies: {} };
    const asks: (() => Promise<{ stream: string } | null>)[] = [
      () => {
        const data = { id: newId(), name: 'x', action: definition.action, policies: {}, payload: null };
        return bus.send(
          subjects.requestRun,
          { ...data, parameters: null, scheduledFor: null, retryOf: null, process: null },
          meta(),
        );
      },
      () => bus.send(subjects.defineProcess, { ...definition, id: newId(), name: 'x' }, meta()),
      () => bus.send(subjects.verifySession, { session: newId(), user: newId() }, meta()).then(() => null),
      () => bus.send(subjects.listRuns, { limit: 5 }, meta()).then(() => null),
    ];
    await eventually(async () => {
      const answers = await Promise.allSettled(asks.map((ask) => ask()));
      return answers.every(({ status }) => status === 'fulfilled');
    });

    const accepted: string[] = [];
    const bugs: unknown[] = [];
    const loaded = asks.map((ask) =>
      load(8, async () => {
        try {
          const answer = await ask();
          if (answer) accepted.push(answer.stream);
          return true;
        } catch (error) {
          if (!(error instanceof Refusal && error.kind === 'unavailable')) bugs.push(error);
          return false;
        }
      }),
    );
    await eventually(() => accepted.length > 500);
    await Promise.all(services.map(endsIn30s));
    await Promise.all(loaded);
    expect(bugs).toEqual([]);
    expect(await missing(accepted)).toEqual([]);
    await bus.close();
    await nats.remove();
  },
  180_000,
);
