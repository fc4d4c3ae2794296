import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { adminOf, Client, eventually, HttpReceiver, startStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { expectRefusal } from '../../refused.harness.js';
import { type ActivityLog } from './logs.shapes.js';
import { TaskClient } from './socket.harness.js';
import { executionsOf, makeTask, missing, printed, runToEnd, trigger, type Both, type Task } from './tasks.harness.js';

const allowed = 'https://console.example';
let stack: Stack;
let ntfy: HttpReceiver;
let admin: Client;
let nina: Client;
beforeAll(async () => {
  ntfy = await HttpReceiver.start();
  stack = await startStack(topology, {
    ...{ RUNLEDGER_ALLOWED_ORIGINS: allowed, RUNLEDGER_OUTBOUND_ALLOW: '127.0.0.1' },
    RUNLEDGER_NTFY_URL: `${ntfy.url.replace('//', '//bell:ringer@')}topic`,
    PATH: withoutClaude(),
  });
  admin = await adminOf(stack);
  nina = await newcomer(stack, 'nina', 'operator');
}, 90_000);
afterAll(async () => {
  await stack.stop();
  await ntfy.close();
}, 60_000);

const clients: TaskClient[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.leave()));

function withoutClaude(): string {
  const places = (process.env.PATH ?? '').split(':').filter(Boolean);
  return places.filter((place) => !existsSync(path.join(place, 'claude'))).join(':');
}

const text = (pattern: RegExp) => expect.stringMatching(pattern) as string;
const time = text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

async function cookie(): Promise<string> {
  const body = { email: 'admin@example.com', password: stack.adminPassword };
  const { headers } = await new Client(stack.url).post('/api/auth/signin', body);
  return headers.getSetCookie()[0]!.split(';', 1)[0]!;
}

async function connect(by: Client): Promise<TaskClient> {
  const token = by.header('authorization').replace('Bearer ', '');
  const client = await TaskClient.open(`${stack.wsUrl}/ws?token=${token}`);
  clients.push(client);
  return client;
}

const list = async (by: Client) => (await by.get<{ tasks: Task[] }>('/api/tasks')).body.tasks;
const taskOf = async (by: Client, { id }: Task) => (await by.get<Both>(`/api/tasks/${id}`)).body.task;
const logs = async (by: Client, query = '') =>
  (await by.get<{ logs: ActivityLog[]; total: number }>(`/api/logs${query}`)).body;
const about = async (by: Client, { id }: Task) =>
  (await logs(by, '?limit=1000')).logs.filter(({ taskId }) => taskId === id);
const sentOf = async (task: Task) => (await about(nina, task)).filter(({ type }) => type === 'notification_sent');

describe('Base URLs', () => {
  test('each port answers each path of the document, the socket too, to the session’s cookie alone', async () => {
    const headers = { cookie: await cookie() };
    for (const url of [stack.url, stack.otherUrl]) {
      const by = new Client(url, headers);
      const { id } = await makeTask(by);
      const bodies: Record<string, object> = { PUT: { name: 'Updated Name' }, POST: { task_id: id } };
      const one = `/api/tasks/${id}`;
      const asks = ['GET /health', 'GET /api/tasks', 'GET /api/logs', `GET ${one}`, `PUT ${one}`, 'POST /execute-task'];
      for (const ask of [...asks, `DELETE ${one}`]) {
        const [method, where] = ask.split(' ') as [string, string];
        expect([url, ask, (await by.call(method, where, bodies[method])).status]).toEqual([url, ask, 200]);
      }
      clients.push(await TaskClient.open(`${url.replace('http', 'ws')}/ws`, headers));
    }
  });

  test('a slash at the end of a collection changes nothing', async () => {
    const quiet = await newcomer(stack, 'quiet', 'operator');
    const made = await quiet.post<{ task: Task }>('/api/tasks/', { name: 'slashed', command: 'true' });
    expect(made.status).toBe(201);
    const executions = `/api/tasks/${made.body.task.id}/executions`;
    for (const where of ['/api/tasks', '/api/logs', '/api/activity-logs', executions]) {
      const [bare, slashed] = [await quiet.get(where), await quiet.get(`${where}/`)];
      expect([where, slashed.status, slashed.text]).toEqual([where, 200, bare.text]);
    }
    expect((await quiet.post('/execute-task/', { task_id: made.body.task.id })).status).toBe(200);
  });

  test('a page of an allowed origin may use the surface and watch, with the cookie', async () => {
    const headers = { cookie: await cookie(), origin: allowed };
    const answer = await new Client(stack.url).post('/api/tasks', { name: 'x', command: 'true' }, headers);
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([201, allowed]);
    expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
    expect(answer.headers.get('access-control-expose-headers')).toMatch(/X-RateLimit-Remaining/i);
    clients.push(await TaskClient.open(`${stack.wsUrl}/ws`, headers));
  });
});

test('signing out ends that session and no other', async () => {
  const [one, other] = [await cookie(), await cookie()];
  const nobody = new Client(stack.url);
  await nobody.post('/api/auth/signout', undefined, { cookie: one });
  expectRefusal('tasks', 401, await nobody.get('/api/logs', { cookie: one }));
  expect((await TaskClient.refused(`${stack.wsUrl}/ws`, { cookie: one })).status).toBe(401);
  expect((await nobody.get('/api/logs', { cookie: other })).status).toBe(200);
});

describe('Task Management', () => {
  test('GET /api/tasks: the document’s example, once it has run', async () => {
    const words = {
      ...{ name: 'Daily Backup', description: 'Backup database', command: 'true', args: '{}' },
      ...{ schedule: '0 3 * * *', priority: 'default', notifyOn: 'completion,error' },
    };
    const made = await makeTask(nina, words);
    const disabled = await makeTask(nina, { enabled: false });
    const { startedAt } = await runToEnd(nina, made);
    const all = await list(nina);
    expect(all.find(({ id }) => id === disabled.id)).toEqual(disabled);
    const found = all.find(({ id }) => id === made.id)!;
    const times = { lastRun: startedAt, nextRun: text(/T03:00:00\.000Z$/) };
    expect(found).toEqual({ ...made, ...words, enabled: true, ...times });
    expect(Date.parse(found.nextRun!)).toBeGreaterThan(Date.parse(found.lastRun!));
  });

  test.each(['PUT', 'PATCH'])('%s changes each word alone, or nothing where it is refused', async (method) => {
    const first = { schedule: '0 9 * * 1', priority: 'urgent', args: '["y"]', description: 'first' };
    let task = await makeTask(nina, first);
    const changes: Partial<Task>[] = [
      ...[{ name: 'another' }, { description: 'second' }, { description: null }, { command: 'echo' }],
      ...[{ args: '["x"]' }, { schedule: '0 10 * * *' }, { timezone: 'Asia/Tokyo' }],
      ...[{ priority: 'low' as const }, { notifyOn: 'start' }],
      ...[{ enabled: false }, { enabled: true }, { schedule: null }],
    ];
    for (const change of changes) {
      const { status, body } = await nina.call<Both>(method, `/api/tasks/${task.id}`, change);
      const isTimed = 'schedule' in change || 'timezone' in change || 'enabled' in change;
      const { nextRun } = isTimed ? body.task : task;
      expect([status, body.task]).toEqual([200, { ...task, ...change, nextRun, updatedAt: time }]);
      expect(body.task.nextRun === null).toBe(!body.task.enabled || body.task.schedule === null);
      expect(await taskOf(nina, task)).toEqual(body.task);
      task = body.task;
    }
    const refused = { name: 'x', schedule: '0 0 30 2 *' };
    expectRefusal('tasks', 422, await nina.call(method, `/api/tasks/${task.id}`, refused));
    expect((await nina.call<Both>(method, `/api/tasks/${task.id}`, {})).body).toEqual({ ...task, task });
  });

  test.each<[string, object, RegExp, number | null]>([
    ['0 10 * * *', {}, /T10:00:00/, null],
    ['0 9 * * *', { timezone: 'Asia/Tokyo' }, /T00:00:00/, null],
    ['30 15 9 * * *', {}, /T09:15:30/, null],
    ['0 9 * * 1', {}, /T09:00:00/, 1],
    ['0 9 * * 0', {}, /T09:00:00/, 0],
    ['0 9 * * 7', {}, /T09:00:00/, 0],
    ['0 9 * * MON', {}, /T09:00:00/, 1],
    ['@hourly', {}, /:00:00\./, null],
    ['@weekly', {}, /T00:00:00/, 0],
    ['@monthly', {}, /-01T00:00:00/, null],
    ['@yearly', {}, /-01-01T00:00:00/, null],
  ])('%s %j: nextRun is its next instant', async (schedule, words, pattern, weekday) => {
    const change = { schedule, ...words };
    const made = await makeTask(nina, change);
    const { body } = await nina.call<Both>('PUT', `/api/tasks/${(await makeTask(nina)).id}`, change);
    for (const { nextRun, updatedAt } of [made, body.task]) {
      expect(nextRun).toMatch(pattern);
      expect(Date.parse(nextRun!)).toBeGreaterThan(Date.parse(updatedAt));
      if (weekday !== null) expect(new Date(nextRun!).getUTCDay()).toBe(weekday);
    }
  });

  test('a task runs by a changed schedule, and no more once it is deleted; its log stays', async () => {
    const task = await makeTask(nina, { schedule: '@yearly' });
    await nina.call('PUT', `/api/tasks/${task.id}`, { schedule: '* * * * * *' });
    const starts = async () => (await about(nina, task)).filter(({ type }) => type === 'task_start').length;
    await eventually('its first start', async () => (await starts()) > 0);
    expect((await nina.call('DELETE', `/api/tasks/${task.id}`)).body).toEqual({ success: true });
    for (const ask of ['GET ', 'PUT ', 'PATCH ', 'POST /trigger', 'GET /executions']) {
      const [method, rest] = ask.split(' ') as [string, string];
      const body = method === 'GET' ? undefined : { name: 'x' };
      expectRefusal('tasks', 404, await nina.call(method, `/api/tasks/${task.id}${rest}`, body), ask);
    }
    for (const id of [task.id, missing]) {
      expectRefusal('tasks', 404, await nina.post('/execute-task', { task_id: id }));
    }
    // What was due before the deletion may still be starting.
    await sleep(1_000);
    const before = await starts();
    await sleep(2_500);
    expect([await starts(), before > 0]).toEqual([before, true]);
  });

  test('an admin changes and deletes anybody’s task; its owner is told so in his log', async () => {
    const task = await makeTask(nina, { name: 'of nina' });
    const { body } = await admin.call<Both>('PUT', `/api/tasks/${task.id}`, { name: 'still of nina' });
    // Only what he did himself is seen at once by whoever asks.
    await eventually('the change', async () => (await taskOf(nina, task)).name === 'still of nina');
    expect(await taskOf(nina, task)).toEqual(body.task);
    expect((await admin.call('DELETE', `/api/tasks/${task.id}`)).status).toBe(200);
    await eventually('the deletion', async () => (await nina.get(`/api/tasks/${task.id}`)).status === 404);
    const types = async () => (await about(nina, task)).map(({ type }) => type);
    await eventually('the deletion in her log', async () => (await types()).length === 3);
    expect(await types()).toEqual(['task_deleted', 'task_updated', 'task_created']);
  });

  test.each(['viewer', 'user'])('a %s reads, and changes and runs nothing', async (role) => {
    const someone = await newcomer(stack, `a-${role}`, role);
    const task = await makeTask(nina);
    for (const [method, rest] of [['PATCH', ''] as const, ['POST', '/trigger'] as const]) {
      expectRefusal('tasks', 403, await someone.call(method, `/api/tasks/${task.id}${rest}`, { name: 'taken' }));
    }
    expect([403, 404]).toContain((await someone.call('DELETE', `/api/tasks/${task.id}`)).status);
    expect(await taskOf(nina, task)).toEqual(task);
    expect(await list(someone)).toEqual([]);
    expect(await logs(someone)).toEqual({ logs: [], total: 0 });
  });

  test('POST /api/tasks/[id]/trigger answers the execution’s id, which the process itself is told', async () => {
    const task = await makeTask(nina, { command: 'printf "$RUNLEDGER_RUN_ID"' });
    const { status, body } = await nina.post(`/api/tasks/${task.id}/trigger`);
    const { id } = (await executionsOf(nina, task))[0]!;
    expect([status, body]).toEqual([200, { execution_id: id, executionId: id, taskId: task.id, status: 'started' }]);
    await eventually('the id in its output', async () => (await printed(nina, id)) === id);
  });

  test('where there is no claude, GET /health says so, and a prompt fails', async () => {
    const { body } = await new Client(stack.url).get('/health');
    expect(body).toMatchObject({ status: 'healthy', services: { claude_code: 'unavailable' } });
    const execution = await runToEnd(nina, await makeTask(nina, { command: 'claude: say hello' }));
    expect(execution).toMatchObject({ status: 'failed', error: text(/claude/) });
  });
});

test('lists longer than a page: everything once, newest first; of the log a hundred unless said otherwise', async () => {
  const busy = await newcomer(stack, 'busy', 'operator');
  const names = Array.from({ length: 230 }, (_, n) => `task ${n}`);
  // One after the other: which of two that are asked for at once is the newer one is nobody's to say.
  const tasks: { id: string }[] = [];
  for (const name of names) tasks.push(await makeTask(busy, { name, notifyOn: 'never' }));
  const found = await list(busy);
  expect(found.map(({ name }) => name)).toEqual([...names].reverse());
  const born = found.map(({ createdAt }) => createdAt);
  expect(born).toEqual([...born].sort().reverse());
  const ids = await Promise.all(tasks.map(() => trigger(busy, found[0]!)));
  expect((await executionsOf(busy, found[0]!)).map(({ id }) => id).sort()).toEqual(ids.sort());
  const query = '?type=task_created';
  const created = (await logs(busy, `${query}&limit=1000`)).logs;
  expect(new Set(created.map(({ taskId }) => taskId)).size).toBe(230);
  expect(await logs(busy, query)).toEqual({ logs: created.slice(0, 100), total: 230 });
  expect(await logs(busy, `${query}&offset=200`)).toEqual({ logs: created.slice(200), total: 230 });
  expect((await busy.get(`/api/activity-logs${query}`)).body).toEqual(created.slice(0, 100));
});

test('GET /api/logs: each type of the document can be asked for alone', async () => {
  const lena = await newcomer(stack, 'lena', 'operator');
  const task = await makeTask(lena, { command: 'exit 3' });
  const { body } = await lena.get<{ revision: number; policies: object }>(`/api/v1/processes/${task.id}`);
  const policies = { ...body.policies, retry: { attempts: 2 } };
  await lena.call('PATCH', `/api/v1/processes/${task.id}`, { revision: body.revision, policies });
  await runToEnd(lena, task);
  const good = await makeTask(lena);
  await runToEnd(lena, good);
  await lena.call('DELETE', `/api/tasks/${good.id}`);
  const all = await eventually('all entries', async () => {
    const found = (await logs(lena)).logs;
    return found.filter(({ type }) => type === 'notification_sent').length === 2 && found;
  });
  const counts = { task_start: 3, task_complete: 1, task_error: 2, task_retry: 1, task_created: 2, task_updated: 1 };
  const others = { task_deleted: 1, notification_sent: 2, notification_error: 0 };
  for (const [type, total] of Object.entries({ ...counts, ...others })) {
    const own = all.filter((entry) => entry.type === type);
    expect([type, await logs(lena, `?type=${type}`)]).toEqual([type, { logs: own, total }]);
  }
  expect(all).toHaveLength(13);
  const starts = all.filter(({ type }) => type === 'task_start');
  expect(await logs(lena, '?type=task_start&limit=1&offset=1')).toEqual({ logs: [starts[1]], total: 3 });
  for (const { type, metadata, executionId } of all) {
    expect([type, typeof JSON.parse(metadata)]).toEqual([type, 'object']);
    expect([type, executionId === null]).toEqual([type, /created|updated|deleted/.test(type)]);
  }
});

test('a ping in the form of all messages is answered like a bare one', async () => {
  const client = await connect(nina);
  client.send({ type: 'ping', data: {}, timestamp: '2026-02-01T03:00:00Z' });
  expect(await client.some('pong')).toEqual({ type: 'pong', data: {}, timestamp: time });
  expect(client.of('error')).toEqual([]);
});

test.each([
  ['completed', `echo '##runledger {"progress": 150}'; sleep 0.3`],
  ['failed', `echo '##runledger {"progress": -5}'; sleep 0.3; exit 3`],
  ['cancelled', 'sleep 60'],
])('the last task_status of one that is %s; its end is that of the execution', async (status, command) => {
  const task = await makeTask(nina, { command });
  const client = await connect(nina);
  const id = await trigger(nina, task);
  await client.some('execution_start', id);
  if (status === 'cancelled') await nina.post(`/api/v1/runs/${id}/cancel`, {});
  const { data } = await client.some('execution_complete', id);
  const told = client.of('task_status', id).map((frame) => frame.data);
  expect(told.at(-1)!.status).toBe(status);
  expect(told.every(({ progress }) => progress === null || (progress >= 0 && progress <= 100))).toBe(true);
  const [execution] = await executionsOf(nina, task);
  expect(execution).toMatchObject({ id, status, duration: data.duration, exitCode: data.exit_code });
  expect(data).toMatchObject({ executionId: id, status });
});

describe('notifications', () => {
  const done = (priority: string) => `Task Complete, ${priority}, check_mark`;
  const failed = (priority: string) => `Task Failed, ${priority}, rotating_light`;

  test.each([
    [{}, 'true', [done('default')]],
    [{}, 'false', [failed('high')]],
    [{ priority: 'low' }, 'true', [done('low')]],
    [{ priority: 'low' }, 'false', [failed('high')]],
    [{ priority: 'high' }, 'true', [done('high')]],
    [{ priority: 'urgent' }, 'false', [failed('urgent')]],
    [{ notifyOn: 'always' }, 'false', [failed('high')]],
    [{ notifyOn: 'never' }, 'false', []],
    [{ notifyOn: '' }, 'true', []],
    [{ notifyOn: 'start, completion' }, 'true', ['Task Started, default, arrow_forward', done('default')]],
  ])('%j that runs %s: /ws and ntfy are told the same', async (words, command, expected) => {
    const name = `<${JSON.stringify(words)} ${command}>`;
    const task = await makeTask(nina, { ...words, name, command });
    const client = await connect(nina);
    const { id } = await runToEnd(nina, task);
    const next = await makeTask(nina);
    await client.some('notification', (await runToEnd(nina, next)).id);
    await eventually('word of the next one', async () => (await sentOf(next)).length > 0);
    const frames = client.of('notification', id).map(({ data }) => data);
    expect(frames.map(({ title, priority, tags }) => [title, priority, ...tags].join(', '))).toEqual(expected);
    expect(frames.every(({ message, taskId }) => message.includes(name) && taskId === task.id)).toBe(true);
    const told = ntfy.received.filter(({ body }) => body.includes(name));
    const names = ['x-title', 'x-priority', 'x-tags'];
    expect(told.map(({ headers }) => names.map((each) => headers[each]).join(', '))).toEqual(expected);
    const authorization = `Basic ${Buffer.from('bell:ringer').toString('base64')}`;
    for (const each of told) expect(each).toMatchObject({ path: '/topic', headers: { authorization } });
    const entries = await sentOf(task);
    expect(entries.map(({ executionId }) => executionId)).toEqual(expected.map(() => id));
    const logged = () =>
      client.of('activity_log', id).flatMap(({ data }) => (data.type === 'notification_sent' ? [data] : []));
    await client.until('the entries', () => logged().length === entries.length);
    expect(logged().reverse()).toEqual(entries);
    for (const { metadata } of entries) expect(JSON.parse(metadata)).toMatchObject({ channel: 'ntfy', attempts: 1 });
  });
});

describe('errors and limits, as they are in production', () => {
  let strict: Stack;
  let by: Client;
  beforeAll(async () => {
    strict = await startStack(topology, { RUNLEDGER_RATE_LIMITS: 'on', NODE_ENV: 'production' });
    by = await adminOf(strict);
  }, 90_000);
  afterAll(() => strict.stop(), 60_000);

  test('a hundred requests a minute, and five attempts to sign in, whichever way', async () => {
    const { headers } = await by.get('/api/tasks');
    expect(headers.get('x-ratelimit-limit')).toBe('100');
    const nobody = new Client(strict.url);
    const signIn = (password: string) => nobody.post('/api/auth/signin', { email: 'admin', password });
    // The first of the five signed the admin in.
    expectRefusal('tasks', 401, await signIn('wrong'));
    const signedIn = await signIn(strict.adminPassword);
    expect(signedIn.headers.getSetCookie()[0]).toMatch(/^next-auth\.session-token=.*; Secure(;|$)/);
    const login = { username: 'admin', password: 'wrong' };
    expect((await nobody.post('/api/auth/login', login)).status).toBe(401);
    expect((await nobody.post('/api/v1/auth/token', new URLSearchParams(login))).status).toBe(401);
    const over = await signIn(strict.adminPassword);
    expectRefusal('tasks', 429, over);
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(over.headers.getSetCookie()).toEqual([]);
  });

  test('a fault of the server is INTERNAL_ERROR; a client’s mistake is none', async () => {
    const database = new pg.Client({ connectionString: strict.databaseUrl });
    await database.connect();
    const headers = { authorization: by.header('authorization') };
    try {
      await database.query('alter table activity_view rename to activity_view_away');
      const answer = await fetch(`${strict.url}/api/logs`, { headers });
      const said = await answer.text();
      const body: unknown = JSON.parse(said);
      expectRefusal('tasks', 500, { status: answer.status, headers: answer.headers, text: said, body });
      expect(said).not.toContain('activity_view');
    } finally {
      await database.query('alter table if exists activity_view_away rename to activity_view');
      await database.end();
    }
    expect((await by.get('/api/logs')).status).toBe(200);
    expectRefusal('tasks', 400, await by.get('/api/tasks/%ZZ'), 'an address that cannot be read');
    expectRefusal('tasks', 422, await by.get('/api/logs?type=%00'), 'a NUL');
  });
});
