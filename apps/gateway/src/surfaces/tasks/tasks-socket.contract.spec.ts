import { type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { adminOf, Client, eventually, sharedStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { executionsOf, makeTask, runToEnd, trigger } from './tasks.harness.js';
import { TaskClient } from './socket.harness.js';

let stack: Stack;
let admin: Client;
let oskar: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  oskar = await newcomer(stack, 'oskar-ws', 'operator');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const clients: TaskClient[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.leave()));

const url = () => `${stack.wsUrl}/ws`;
const bearerOf = (by: Client) => by.header('authorization').replace('Bearer ', '');

async function connect(by = admin, headers: Record<string, string> = {}): Promise<TaskClient> {
  const client = await TaskClient.open(`${url()}?token=${bearerOf(by)}`, headers);
  clients.push(client);
  return client;
}

async function cookie(username = 'admin'): Promise<string> {
  const body = { email: username, password: stack.adminPassword };
  const answer = await new Client(stack.url).post('/api/auth/signin', body);
  return answer.headers.getSetCookie()[0]!.split(';', 1)[0]!;
}

describe('Connection', () => {
  test('with the session’s cookie: the first frame says so, and how many are there', async () => {
    const client = await TaskClient.open(url(), { cookie: await cookie() });
    clients.push(client);
    expect(client.frames[0]).toEqual({
      type: 'connected',
      data: { message: expect.stringMatching(/./) as string, client_count: expect.any(Number) as number },
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*\.\d{3}Z$/) as string,
    });
    const other = await connect();
    const count = (each: TaskClient) => each.of('connected')[0]!.data.client_count;
    expect(count(other)).toBeGreaterThan(count(client));
  });

  test('on every port, with ?token= or any other credential', async () => {
    const token = bearerOf(admin);
    const otherPort = `${stack.otherUrl.replace('http', 'ws')}/ws`;
    clients.push(await TaskClient.open(`${otherPort}?token=${token}`));
    clients.push(await TaskClient.open(url(), { cookie: `connect.sid=${token}` }));
    clients.push(await TaskClient.open(url(), { authorization: `Bearer ${token}` }));
    clients.push(await connect(admin, { origin: stack.url }));
  });

  test('without a session the handshake is 401', async () => {
    for (const [query, headers] of [
      ['', {}],
      ['?token=', {}],
      ['?token=nonsense', {}],
      ['', { cookie: 'next-auth.session-token=nonsense' }],
      ['', { authorization: 'Bearer nonsense' }],
    ] as [string, Record<string, string>][]) {
      const { status, type, body } = await TaskClient.refused(`${url()}${query}`, headers);
      expect([status, type]).toEqual([401, 'application/json; charset=utf-8']);
      expect(body).toMatchObject({ error: { code: 'UNAUTHORIZED', details: {} } });
    }
  });

  test('a page of another origin is refused', async () => {
    for (const origin of ['https://evil.example', 'null']) {
      const { status, body } = await TaskClient.refused(url(), { cookie: await cookie(), origin });
      expect([status, body]).toMatchObject([403, { error: { code: 'FORBIDDEN' } }]);
    }
  });

  test('who signs out is sent away', async () => {
    const own = await cookie();
    const client = await TaskClient.open(url(), { cookie: own });
    clients.push(client);
    await new Client(stack.url).post('/api/auth/signout', undefined, { cookie: own });
    await eventually('the end', () => Promise.resolve(client.closed));
    expect(client.closed).toMatchObject({ code: 1008 });
  });
});

describe('Client → Server', () => {
  test('ping is answered with pong', async () => {
    const client = await connect();
    client.send({ type: 'ping' });
    expect(await client.some('pong')).toMatchObject({ type: 'pong', data: {} });
  });

  test.each([
    ['unknown JSON', '{"type":"subscribe"}', 'UNKNOWN_MESSAGE'],
    ['no JSON', 'hello', 'MALFORMED'],
    ['half of it', '{"type":', 'MALFORMED'],
    ['a number', '7', 'MALFORMED'],
    ['null', 'null', 'MALFORMED'],
    ['a list', '[]', 'MALFORMED'],
    ['no type', '{}', 'MALFORMED'],
    ['a type that is no text', '{"type":{"type":"ping"}}', 'MALFORMED'],
    ['bytes', Buffer.from('{"type":"ping"}'), 'MALFORMED'],
    ['as much as fits', 'x'.repeat(65_536), 'MALFORMED'],
  ])('%s is answered with an error, and the socket stays', async (_, message, code) => {
    const client = await connect();
    client.send(message);
    expect((await client.some('error')).data).toEqual({ code, message: expect.stringMatching(/./) as string });
    client.send({ type: 'ping' });
    await client.some('pong');
  });

  test('a frame over 64 KiB ends this socket, and no other', async () => {
    const [client, other] = [await connect(), await connect()];
    client.send(JSON.stringify({ type: 'ping', padding: 'x'.repeat(65_536) }));
    await eventually('the end', () => Promise.resolve(client.closed));
    expect(client.closed).toMatchObject({ code: 1009 });
    other.send({ type: 'ping' });
    await other.some('pong');
  });
});

test('a socket that takes nothing is closed once 1 MiB waits for it, and no other', async () => {
  const [deaf, other] = [await connect(), await connect()];
  deaf.socket.pause();
  // The answers to so many are more than what the kernel holds on both sides of a connection.
  const many = 120_000;
  const message = JSON.stringify({ type: 'x'.repeat(100) });
  for (let sent = 1; sent <= many; sent++) {
    deaf.send(message);
    if (sent % 1_000 === 0) await sleep(1);
  }
  other.send({ type: 'ping' });
  await other.some('pong');
  deaf.socket.resume();
  await eventually('the end', () => Promise.resolve(deaf.closed));
  expect(deaf.closed).toMatchObject({ code: 1006 });
  expect(deaf.of('error').length).toBeLessThan(many);
  expect(other.closed).toBeNull();
}, 120_000);

describe('Server → Client', () => {
  const program = [
    `echo '##runledger {"progress": 50}'`,
    'echo to stdout',
    'echo to stderr >&2',
    'sleep 0.2',
    'echo the end',
  ].join('; ');

  test('an execution from its start to its end, in order, its output told apart', async () => {
    const task = await makeTask(oskar, { name: 'Daily Backup', command: program });
    const client = await connect(oskar);
    const id = await trigger(oskar, task);
    const complete = await client.some('execution_complete', id);
    const ids = { task_id: task.id, taskId: task.id, execution_id: id, executionId: id };
    expect(complete.data).toMatchObject({ ...ids, status: 'completed', exit_code: 0 });
    expect(complete.data.duration).toBeGreaterThanOrEqual(200);
    expect((await client.some('execution_start', id)).data).toEqual({ ...ids, name: 'Daily Backup', attempt: 1 });
    const statuses = client.of('task_status', id).map(({ data }) => [data.status, data.progress]);
    expect(statuses[0]).toEqual(['queued', null]);
    expect(statuses).toContainEqual(['running', null]);
    expect(statuses).toContainEqual(['running', 50]);
    expect(statuses.at(-1)).toEqual(['completed', 100]);
    expect(client.output(id, 'stdout')).toBe('to stdout\nthe end\n');
    expect(client.output(id, 'stderr')).toBe('to stderr\n');
    const [piece] = client.of('terminal_output', id);
    expect(piece!.data).toMatchObject({ ...ids, line: piece!.data.output, content: piece!.data.output });
    const order = client.frames.map(({ type }) => type);
    expect(order.lastIndexOf('terminal_output')).toBeLessThan(order.indexOf('execution_complete'));
    expect(order.indexOf('execution_start')).toBeLessThan(order.indexOf('terminal_output'));
  });

  test('activity_log frames are the entries of the log', async () => {
    const client = await connect(oskar);
    const task = await makeTask(oskar, { name: 'logged' });
    const { id } = await runToEnd(oskar, task);
    await client.some('execution_complete', id);
    await client.until(
      'three entries',
      () => client.of('activity_log').filter((f) => f.data.taskId === task.id).length === 3,
    );
    const told = client.of('activity_log').map(({ data }) => data);
    const { body } = await oskar.get<{ logs: object[] }>('/api/logs?limit=3');
    expect(told.filter(({ taskId }) => taskId === task.id).reverse()).toEqual(body.logs);
  });

  test('a failure that is tried again fails once', async () => {
    const task = await makeTask(oskar, { command: 'exit 3', notifyOn: 'always' });
    const { body } = await oskar.get<{ revision: number; policies: object }>(`/api/v1/processes/${task.id}`);
    const policies = { ...body.policies, retry: { attempts: 2 } };
    await oskar.call('PATCH', `/api/v1/processes/${task.id}`, { revision: body.revision, policies });
    const client = await connect(oskar);
    const id = await trigger(oskar, task);
    expect((await client.some('execution_complete', id)).data).toMatchObject({ status: 'failed', exit_code: 3 });
    await client.some('notification', id);
    const types = client.of('activity_log', id).map(({ data }) => data.type);
    expect(types).toEqual(['task_start', 'task_error', 'task_retry', 'task_start', 'task_error']);
    expect(client.of('execution_start', id).map(({ data }) => data.attempt)).toEqual([1, 2]);
    expect(client.of('notification', id)).toHaveLength(1);
    expect(client.of('execution_complete', id)).toHaveLength(1);
  });

  test('a cancelled one', async () => {
    const task = await makeTask(oskar, { command: 'sleep 60' });
    const client = await connect(oskar);
    const id = await trigger(oskar, task);
    await client.some('execution_start', id);
    await oskar.post(`/api/v1/runs/${id}/cancel`, {});
    expect((await client.some('execution_complete', id)).data).toMatchObject({ status: 'cancelled' });
  });

  test('a newcomer is told what a running execution has printed so far', async () => {
    const task = await makeTask(oskar, { command: 'echo early; sleep 60' });
    const early = await connect(oskar);
    const id = await trigger(oskar, task);
    await early.until('the output', () => early.output(id) === 'early\n');
    const late = await connect(oskar);
    await late.until('the output', () => late.output(id) === 'early\n');
    await oskar.post(`/api/v1/runs/${id}/cancel`, {});
    await Promise.all([early, late].map((each) => each.some('execution_complete', id)));
  });

  test.each([
    ['completion,error', 'true', [['Task Complete', 'default', 'check_mark']]],
    ['completion,error', 'false', [['Task Failed', 'high', 'rotating_light']]],
    ['completion', 'false', []],
    ['error', 'true', []],
    ['start', 'true', [['Task Started', 'default', 'arrow_forward']]],
    ['always', 'true', [['Task Complete', 'default', 'check_mark']]],
    ['never,always', 'true', []],
  ])('notification frames for %s when it runs %s', async (notifyOn, command, expected) => {
    const task = await makeTask(oskar, { name: 'noted', command, notifyOn });
    const client = await connect(oskar);
    const { id } = await runToEnd(oskar, task);
    await client.some('execution_complete', id);
    client.send({ type: 'ping' });
    await client.some('pong');
    await client.until('its notifications', () => client.of('notification').length >= expected.length);
    const told = client.of('notification').map(({ data }) => [data.title, data.priority, data.tags[0]]);
    expect(told).toEqual(expected);
  });
});

describe('whose tasks', () => {
  test('one’s own only; admins see all; runs without a process are nobody’s task', async () => {
    const [his, hers] = [
      await makeTask(oskar, { command: 'echo his' }),
      await makeTask(admin, { command: 'echo hers' }),
    ];
    const [oskars, admins] = [await connect(oskar), await connect(admin)];
    await oskar.post('/api/v1/runs', { action: { kind: 'command', shell: 'echo nobody' } });
    const seen = await trigger(admin, hers);
    await admins.some('execution_complete', seen);
    const own = await trigger(oskar, his);
    await Promise.all([oskars, admins].map((each) => each.some('execution_complete', own)));
    expect(admins.output(seen)).toBe('hers\n');
    expect([oskars.output(own), admins.output(own)]).toEqual(['his\n', 'his\n']);
    const tasks = new Set(oskars.frames.flatMap(({ data }) => (data as { taskId?: string }).taskId ?? []));
    expect([...tasks]).toEqual([his.id]);
    expect(JSON.stringify(admins.frames)).not.toContain('nobody');
  });

  test('what an admin runs of somebody’s task is told to that one', async () => {
    const task = await makeTask(oskar, { command: 'echo for oskar' });
    const client = await connect(oskar);
    const id = await trigger(admin, task);
    await client.some('execution_complete', id);
    expect(client.output(id)).toBe('for oskar\n');
  });

  test('what an admin has begun of somebody’s task is shown to that one when he comes, and to nobody else', async () => {
    const task = await makeTask(oskar, { command: 'echo for oskar; sleep 60' });
    const id = await trigger(admin, task);
    const [his, hers] = [await connect(oskar), await connect(await newcomer(stack, 'nora-ws', 'operator'))];
    await his.until('the output', () => his.output(id) === 'for oskar\n');
    await admin.post(`/api/v1/runs/${id}/cancel`, {});
    await his.some('execution_complete', id);
    expect(hers.frames.map(({ type }) => type)).toEqual(['connected']);
  });

  test('who is given another role is sent away', async () => {
    const account = { email: 'roleless-ws@example.com', password: 'a long password' };
    const { body: user } = await admin.post<{ id: string }>('/api/v1/users', { ...account, role: 'operator' });
    const signedIn = await new Client(stack.url).post('/api/auth/signin', account);
    const headers = { cookie: signedIn.headers.getSetCookie()[0]!.split(';', 1)[0]! };
    const client = await TaskClient.open(url(), headers);
    clients.push(client);
    expect((await admin.call('PATCH', `/api/v1/users/${user.id}`, { role: 'viewer' })).status).toBe(200);
    await eventually('the end', () => Promise.resolve(client.closed));
  });
});

describe('a slow socket', () => {
  const lines = 100_000;
  const loud = `seq -f '%059g' 1 ${lines}`;

  test('holds nobody up, and is told all of it once it reads again', async () => {
    const task = await makeTask(oskar, { command: loud });
    const [slow, quick] = [await connect(oskar), await connect(oskar)];
    const wire = (slow.socket as unknown as { _socket: Socket })._socket;
    wire.pause();
    const id = await trigger(oskar, task);
    await quick.some('execution_complete', id);
    const all = quick.output(id);
    expect(all.split('\n').length - 1).toBe(lines);
    await sleep(300);
    expect(slow.of('execution_complete', id)).toEqual([]);
    wire.resume();
    await slow.some('execution_complete', id);
    expect(slow.output(id) === all).toBe(true);
    expect(await executionsOf(oskar, task)).toHaveLength(1);
  });
});
