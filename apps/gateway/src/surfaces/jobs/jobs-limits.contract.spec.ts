import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, Client, eventually, signIn, startStack, type Stack } from '#testing';
import { addUser } from '../../live/second-user.harness.js';
import { headOf } from '../../refused.harness.js';
import { batches, isActive, missing, sh, type Batch, type Detail, type Invalid, type Job } from './batches.harness.js';

interface Limits {
  default_limit: number;
  overrides: { id: string; email: string; role: string; max_jobs: number }[];
}
interface User {
  id: string;
  email: string;
  max_concurrent_jobs: number | null;
}
interface Event {
  position: string;
  type: string;
  data: Record<string, unknown>;
  meta: { actor: string };
}

let stack: Stack;
let admin: Client;
let me: string;
const ids: Record<string, string> = {};
const clients: Record<string, Client> = {};
beforeAll(async () => {
  stack = await startStack(topology, { RUNLEDGER_EXECUTOR_QUEUES: 'default,night', RUNLEDGER_EXECUTOR_SLOTS: '16' });
  admin = await adminOf(stack);
  me = (await admin.get<User>('/api/v1/users/me')).body.id;
  for (const [name, role] of Object.entries({ olga: 'operator', otto: 'operator', vera: 'viewer' })) {
    const user = { email: `${name}@example.com`, password: stack.adminPassword, role };
    ids[name] = (await admin.post<User>('/api/v1/users', user)).body.id;
  }
  ids['uli'] = await addUser(stack.databaseUrl, 'uli', 'user');
  for (const name of Object.keys(ids)) clients[name] = await signIn(stack, `${name}@example.com`);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const place = '/api/v1/admin/limits';
const limits = async () => (await admin.get<Limits>(place)).body;
const limitAll = (max_jobs: unknown, by = admin) => by.post<Limits & Detail>(`${place}/global`, { max_jobs });
const limitUser = (id: string, max_jobs: unknown, by = admin) =>
  by.post<Limits & Detail>(`${place}/users/${id}`, { max_jobs });
const userOf = async (name: string) => (await admin.get<User>(`/api/v1/users/${ids[name]}`)).body;
const eventsOf = async (stream: string) =>
  (await admin.get<{ items: Event[] }>(`/api/v1/events?stream=${stream}&limit=1000`)).body.items;

const says = (by: Client, job: string, words: string) =>
  eventually(`the job to say: ${words}`, async () => {
    return (await by.get<Job>(`/api/v1/jobs/${job}`)).body.waiting_for === words;
  });

describe('GET /admin/limits, POST /admin/limits/global', () => {
  test('a hundred at first, and nobody has his own', async () => {
    const { status, body } = await admin.get(place);
    expect([status, body]).toEqual([200, { default_limit: 100, overrides: [] }]);
  });

  test('sets the limit for all; who changed it to what is in the ledger, and the same again is nothing', async () => {
    for (const most of [7, 9, 100]) {
      const { status, body } = await limitAll(most);
      expect([status, body]).toEqual([200, { default_limit: most, overrides: [] }]);
      expect(await limits()).toEqual(body);
    }
    const before = await headOf(admin);
    expect((await limitAll(100)).status).toBe(200);
    expect(await headOf(admin)).toBe(before);
    const events = await eventsOf('limit-default');
    expect(events.map(({ type, data, meta }) => [type, data['most'], data['by'], meta.actor])).toEqual([
      ...[7, 9, 100].map((most) => ['LimitChanged', most, me, me]),
    ]);
  });
});

describe('POST /admin/limits/users/{id}', () => {
  test('sets his own, which users show too; null takes it away', async () => {
    const own = { id: ids['olga'], email: 'olga@example.com', role: 'operator' };
    for (const most of [3, 5]) {
      const { status, body } = await limitUser(ids['olga']!, most);
      expect([status, body]).toEqual([200, { default_limit: 100, overrides: [{ ...own, max_jobs: most }] }]);
      expect(await limits()).toEqual(body);
      expect((await userOf('olga')).max_concurrent_jobs).toBe(most);
    }
    const both = (await limitUser(ids['vera']!, 1)).body;
    expect(both.overrides.map(({ email, max_jobs }) => [email, max_jobs])).toEqual([
      ['olga@example.com', 5],
      ['vera@example.com', 1],
    ]);
    await limitUser(ids['vera']!, null);
    expect((await limitUser(ids['olga']!, null)).body).toEqual({ default_limit: 100, overrides: [] });
    expect((await userOf('olga')).max_concurrent_jobs).toBeNull();
    const before = await headOf(admin);
    expect((await limitUser(ids['olga']!, null)).status).toBe(200);
    expect(await headOf(admin)).toBe(before);
    const events = await eventsOf(`user-${ids['olga']}`);
    const changes = events.filter(({ type }) => type === 'UserLimitChanged');
    expect(changes.map(({ data }) => [data['maxConcurrentRuns'], data['by']])).toEqual([
      [3, me],
      [5, me],
      [null, me],
    ]);
  });

  test('PATCH /users/{id} is the same limit: null takes it away, left out it stays', async () => {
    const { id } = await userOf('otto');
    const patch = async (body: object) =>
      (await admin.call<User>('PATCH', `/api/v1/users/${id}`, body)).body.max_concurrent_jobs;
    expect(await patch({ max_concurrent_jobs: 4 })).toBe(4);
    expect(await patch({ role: 'operator' })).toBe(4);
    expect((await limits()).overrides).toEqual([{ id, email: 'otto@example.com', role: 'operator', max_jobs: 4 }]);
    expect(await patch({ max_concurrent_jobs: null })).toBeNull();
    expect((await limits()).overrides).toEqual([]);
  });

  test('a user may be made with one', async () => {
    const body = { email: 'limited@example.com', password: 'correct horse battery', role: 'operator' };
    const made = await admin.post<User>('/api/v1/users', { ...body, max_concurrent_jobs: 2 });
    expect([made.status, made.body.max_concurrent_jobs]).toEqual([201, 2]);
    expect((await limits()).overrides).toMatchObject([{ id: made.body.id, max_jobs: 2 }]);
    await limitUser(made.body.id, null);
  });

  test('nobody has this id: 404', async () => {
    const before = await headOf(admin);
    for (const id of [missing, 'x', '7']) {
      const { status, body } = await limitUser(id, 3);
      expect([status, body]).toEqual([404, { detail: 'User not found' }]);
    }
    expect(await headOf(admin)).toBe(before);
  });
});

test.each<[string, object]>([
  ...[0, -1, 1.5, '3', true, [3], {}, 1e9].map((most): [string, object] => [JSON.stringify(most), { max_jobs: most }]),
  ['nothing', {}],
])('a limit of %s is 422 with its place, and nothing is written', async (_, body) => {
  const before = [await headOf(admin), await limits()];
  for (const where of ['global', `users/${ids['olga']}`]) {
    const answer = await admin.post<Invalid>(`${place}/${where}`, body);
    expect([answer.status, answer.body.detail[0]!.loc]).toEqual([422, ['body', 'max_jobs']]);
  }
  expect((await admin.post(`${place}/global`, { max_jobs: null })).status).toBe(422);
  expect([await headOf(admin), await limits()]).toEqual(before);
});

test('only admins: 403 for all others, 401 without a token; nothing is written', async () => {
  const before = await headOf(admin);
  const ask = async (by: Client) => [
    await by.get(place),
    await limitAll(3, by),
    await limitUser(ids['olga']!, 3, by),
    await limitUser(missing, 3, by),
  ];
  for (const name of ['olga', 'vera', 'uli']) {
    for (const { status, body } of await ask(clients[name]!)) {
      expect([status, body]).toEqual([403, { detail: 'Admin privilege required' }]);
    }
  }
  for (const { status, headers } of await ask(new Client(stack.url))) {
    expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
  }
  expect(await headOf(admin)).toBe(before);
});

describe('in the run', () => {
  let files = 0;

  /** A job that runs until it is let go. */
  async function sleeper(by: Client): Promise<{ id: string; letGo: () => void }> {
    const file = path.join(stack.dataDir, `go-${++files}`);
    const command = sh(`while [ ! -e ${file} ]; do sleep 0.05; done`);
    const { status, body, text } = await by.post<Job>('/api/v1/jobs', { command });
    if (status !== 202) throw new Error(`${status}: ${text}`);
    return { id: body.id, letGo: () => writeFileSync(file, '') };
  }
  const sleepers = async (by: Client, many: number) => {
    const made = [];
    for (let i = 0; i < many; i++) made.push(await sleeper(by));
    return made;
  };

  const statuses = (by: Client, jobs: { id: string }[]) =>
    Promise.all(jobs.map(async ({ id }) => (await by.get<Job>(`/api/v1/jobs/${id}`)).body.status));
  const become = (by: Client, jobs: { id: string }[], expected: string[]) =>
    eventually(`the jobs to be ${expected.join(', ')}`, async () =>
      (await statuses(by, jobs)).every((status, i) => status === expected[i]),
    );
  const some = (many: number, status: string) => Array<string>(many).fill(status);

  /** Starts and ends of these runs in the order of the ledger. */
  async function turns(jobs: { id: string }[]): Promise<{ position: bigint; run: string; starts: boolean }[]> {
    const all = await Promise.all(
      jobs.map(async ({ id }) => (await eventsOf(`run-${id}`)).map((event) => ({ ...event, run: id }))),
    );
    const ends = ['RunSucceeded', 'RunFailed', 'RunCancelled', 'RunLost', 'RunTimedOut'];
    const kept = all.flat().filter(({ type }) => type === 'RunStarted' || ends.includes(type));
    return kept
      .map(({ position, type, run }) => ({ position: BigInt(position), run, starts: type === 'RunStarted' }))
      .sort((a, b) => Number(a.position - b.position));
  }

  /** The most that ran at once, by the ledger. */
  async function mostAtOnce(jobs: { id: string }[]): Promise<number> {
    let [going, most] = [0, 0];
    for (const { starts } of await turns(jobs)) most = Math.max(most, (going += starts ? 1 : -1));
    return most;
  }

  test('never more than his limit; what is above waits in order, says why, and is not refused; others go past', async () => {
    const [olga, otto] = [clients['olga']!, clients['otto']!];
    await limitUser(ids['olga']!, 2);
    const jobs = await sleepers(olga, 5);
    await become(olga, jobs, [...some(2, 'running'), ...some(3, 'pending')]);
    await says(olga, jobs[4]!.id, 'its owner has 2 runs going, and the limit is 2');
    const his = await sleepers(otto, 3);
    await become(otto, his, some(3, 'running'));
    his.forEach(({ letGo }) => letGo());
    for (const [i, { letGo }] of jobs.entries()) {
      letGo();
      const left = jobs.length - 1 - i;
      const running = Math.min(left, 2);
      await become(olga, jobs, [
        ...some(i + 1, 'success'),
        ...some(running, 'running'),
        ...some(left - running, 'pending'),
      ]);
    }
    expect(await mostAtOnce(jobs)).toBe(2);
    const starts = (await turns(jobs)).filter(({ starts: begins }) => begins);
    expect(starts.map(({ run }) => run)).toEqual(jobs.map(({ id }) => id));
    await limitUser(ids['olga']!, null);
  });

  test('raised it counts at once; lowered it stops nobody, and no other starts until there is room', async () => {
    const olga = clients['olga']!;
    await limitUser(ids['olga']!, 1);
    const jobs = await sleepers(olga, 6);
    await become(olga, jobs, ['running', ...some(5, 'pending')]);
    await limitUser(ids['olga']!, 4);
    await become(olga, jobs, [...some(4, 'running'), ...some(2, 'pending')]);
    await limitUser(ids['olga']!, 1);
    const lowered = BigInt(await headOf(admin));
    expect(await statuses(olga, jobs)).toEqual([...some(4, 'running'), ...some(2, 'pending')]);
    jobs[1]!.letGo();
    jobs[2]!.letGo();
    await become(olga, jobs, ['running', 'success', 'success', 'running', ...some(2, 'pending')]);
    jobs.forEach(({ letGo }) => letGo());
    await become(olga, jobs, some(6, 'success'));
    let going = 0;
    for (const { position, starts } of await turns(jobs)) {
      if (starts && position > lowered) expect(going).toBe(0);
      going += starts ? 1 : -1;
    }
    expect(await mostAtOnce(jobs)).toBe(4);
    await limitUser(ids['olga']!, null);
  });

  test('the limit for all holds whoever has no own; taken away, his own gives way to it', async () => {
    const [olga, otto] = [clients['olga']!, clients['otto']!];
    await limitUser(ids['olga']!, 3);
    await limitAll(1);
    const [hers, his] = [await sleepers(olga, 4), await sleepers(otto, 2)];
    await become(olga, hers, [...some(3, 'running'), 'pending']);
    await become(otto, his, ['running', 'pending']);
    await limitAll(2);
    await become(otto, his, some(2, 'running'));
    await limitUser(ids['olga']!, null);
    await limitAll(4);
    await become(olga, hers, some(4, 'running'));
    [...hers, ...his].forEach(({ letGo }) => letGo());
    await become(olga, hers, some(4, 'success'));
    await become(otto, his, some(2, 'success'));
    expect([await mostAtOnce(hers), await mostAtOnce(his)]).toEqual([4, 2]);
    await limitAll(100);
  });

  test('a batch above the limit runs to its end, never more of it at once', async () => {
    const olga = clients['olga']!;
    await limitUser(ids['olga']!, 3);
    const jobs = Array.from({ length: 60 }, () => ({ command: ['true'] }));
    const made = (await olga.post<Batch>(batches, { name: 'many', jobs })).body;
    const end = await eventually('the batch to end', async () => {
      const { body } = await olga.get<Batch>(`${batches}/${made.id}`);
      expect(body.running_count).toBeLessThanOrEqual(3);
      return !isActive(body) && body;
    });
    expect(end).toMatchObject({ status: 'success', success_count: 60 });
    expect(await mostAtOnce(end.jobs)).toBeLessThanOrEqual(3);
    await limitUser(ids['olga']!, null);
  });
});

describe('queue', () => {
  const submit = async (queue?: string) => {
    const { status, body } = await clients['olga']!.post<Job>('/api/v1/jobs', { command: ['true'], queue });
    expect([status, body.queue]).toEqual([202, queue ?? 'default']);
    return body.id;
  };
  const read = async (id: string) => (await clients['olga']!.get<Job>(`/api/v1/jobs/${id}`)).body;
  const ends = (id: string) =>
    eventually('the job to end', async () => {
      const job = await read(id);
      return !isActive(job) && job;
    });

  test('one that an executor serves runs; one that nobody serves waits, says so, and can be cancelled', async () => {
    const [gpu, night, plain] = [await submit('gpu'), await submit('night'), await submit()];
    expect(await ends(night)).toMatchObject({ status: 'success', queue: 'night', waiting_for: null });
    expect(await ends(plain)).toMatchObject({ status: 'success', queue: 'default' });
    const reason = 'no executor serves the queue "gpu"';
    await says(clients['olga']!, gpu, reason);
    expect(await read(gpu)).toMatchObject({ status: 'pending', queue: 'gpu', started_at: null });
    await eventually('native to say so too', async () => {
      const { body } = await clients['olga']!.get<{ reason: string | null }>(`/api/v1/runs/${gpu}`);
      return body.reason === reason;
    });
    expect((await clients['olga']!.post(`/api/v1/jobs/${gpu}/cancel`)).status).toBe(202);
    expect(await ends(gpu)).toMatchObject({ status: 'canceled', waiting_for: null });
  });

  test.each(['', 'a b', 'x'.repeat(65), 'ä', 7, null])('%p is no name of a queue: 422', async (queue) => {
    const { status, body } = await admin.post<Invalid>('/api/v1/jobs', { command: ['true'], queue });
    expect([status, body.detail[0]!.loc]).toEqual([422, ['body', 'queue']]);
  });
});
