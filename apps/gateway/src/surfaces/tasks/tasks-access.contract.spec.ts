import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { WebSocket } from 'ws';
import { adminOf, Client, startStack, type Answer, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { raw } from '../../raw.harness.js';
import { expectRefusal } from '../../refused.harness.js';
import { makeTask, printed, runToEnd } from './tasks.harness.js';

const day = 86_400_000;
let stack: Stack;
let nobody: Client;
let admin: Client;
let tools: string;

beforeAll(async () => {
  tools = mkdtempSync(path.join(tmpdir(), 'tools-'));
  chmodSync(tools, 0o755);
  mkdirSync(path.join(tools, 'bin'));
  const file = path.join(tools, 'bin/claude');
  writeFileSync(file, '#!/bin/sh\nprintf "%s|" "$@"\n', { mode: 0o755 });
  stack = await startStack(globalThis.topology, { PATH: `${tools}/bin:${process.env.PATH}` });
  nobody = new Client(stack.url);
  admin = await adminOf(stack);
}, 90_000);
afterAll(async () => {
  await stack.stop();
  rmSync(tools, { recursive: true });
}, 60_000);

const credentials = () => ({ email: 'admin@example.com', password: stack.adminPassword });
const signIn = (body: object = credentials()) => nobody.post<{ user: object }>('/api/auth/signin', body);
const cookieOf = ({ headers }: Answer<unknown>): string => headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';

describe('Authentication Endpoints', () => {
  test('POST /api/auth/signin: the user and a cookie for thirty days', async () => {
    const before = Date.now();
    const answer = await signIn();
    const id = expect.stringMatching(/^[\w-]{10,}$/) as string;
    expect([answer.status, answer.body]).toEqual([200, { user: { id, email: 'admin@example.com', name: 'admin' } }]);
    const [pair, ...attributes] = answer.headers.getSetCookie()[0]!.split('; ');
    expect(pair).toMatch(/^next-auth\.session-token=[^;]+$/);
    const expires = attributes.find((attribute) => attribute.startsWith('Expires='))!;
    const others = attributes.filter((attribute) => attribute !== expires);
    expect(others.sort()).toEqual(['HttpOnly', 'Path=/', 'SameSite=Lax']);
    expect(Math.abs(Date.parse(expires.slice('Expires='.length)) - before - 30 * day)).toBeLessThan(60_000);
    const cookie = cookieOf(answer);
    const me = await nobody.get<{ expiresAt: string }>('/api/v1/me', { cookie });
    expect(Math.abs(Date.parse(me.body.expiresAt) - before - 30 * day)).toBeLessThan(60_000);
    expect((await nobody.get('/api/tasks', { cookie })).status).toBe(200);
  });

  test('a name is taken for the e-mail', async () => {
    const { adminPassword: password } = stack;
    for (const body of [
      { email: 'admin', password },
      { username: 'admin', password },
      { email: 'ADMIN@example.com', password },
    ]) {
      expect((await signIn(body)).status).toBe(200);
    }
  });

  test('whoever is wrong is 401, whatever is wrong, and gets no cookie', async () => {
    for (const body of [
      { ...credentials(), password: 'wrong' },
      { email: 'nobody@example.com', password: 'wrong' },
    ]) {
      const answer = await signIn(body);
      expectRefusal('tasks', 401, answer);
      expect(answer.body).toMatchObject({ error: { message: 'Invalid credentials' } });
      expect(answer.headers.getSetCookie()).toEqual([]);
    }
  });

  test('POST /api/auth/signout ends the session', async () => {
    const cookie = cookieOf(await signIn());
    const answer = await nobody.post('/api/auth/signout', undefined, { cookie });
    expect([answer.status, answer.body]).toEqual([200, { success: true }]);
    expect(answer.headers.getSetCookie().some((each) => each.startsWith('next-auth.session-token=;'))).toBe(true);
    expectRefusal('tasks', 401, await nobody.get('/api/tasks', { cookie }));
    expect((await nobody.post('/api/auth/signout')).status).toBe(200);
  });

  test('no session is 401 in JSON, never a redirect; any credential of any document does', async () => {
    for (const where of ['/api/tasks', '/api/tasks/x', '/api/tasks/x/executions']) {
      const answer = await nobody.get(where);
      expectRefusal('tasks', 401, answer);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
    const cookie = cookieOf(await nobody.post('/api/auth/login', { username: 'admin', password: stack.adminPassword }));
    for (const headers of [{ cookie }, { authorization: admin.header('authorization') }] as Record<string, string>[]) {
      expect((await nobody.get('/api/tasks', headers)).status).toBe(200);
    }
  });

  test('a page of another origin changes nothing with the cookie', async () => {
    const cookie = cookieOf(await signIn());
    const task = { name: 'x', command: 'true' };
    const evil = { cookie, origin: 'https://evil.example' };
    expectRefusal('tasks', 403, await nobody.post('/api/tasks', task, evil));
    expect((await nobody.post('/api/tasks', task, { cookie, origin: stack.url })).status).toBe(201);
    expect((await nobody.post('/api/tasks', task, { cookie })).status).toBe(201);
  });
});

describe('two cookies', () => {
  test('who signs in by one document after another is who signed in last, and signs out of it', async () => {
    await newcomer(stack, 'bob', 'operator');
    const before = cookieOf(await nobody.post('/api/auth/login', { username: 'admin', password: stack.adminPassword }));
    const answer = await nobody.post(
      '/api/auth/signin',
      { email: 'bob', password: stack.adminPassword },
      { cookie: before },
    );
    const [cleared, set] = answer.headers.getSetCookie();
    expect(cleared).toMatch(/^connect\.sid=;/);
    expect(set).toMatch(/^next-auth\.session-token=ey/);
    const after = set!.split(';', 1)[0]!;
    const back = await nobody.post(
      '/api/auth/login',
      { username: 'admin', password: stack.adminPassword },
      { cookie: after },
    );
    expect(back.headers.getSetCookie()[0]).toMatch(/^next-auth\.session-token=;/);
  });

  test('the cookie of another application on this host is none of ours', async () => {
    const cookie = `connect.sid=s%3Aabc.def; ${cookieOf(await signIn())}`;
    expect((await nobody.get('/api/tasks', { cookie })).status).toBe(200);
    expect((await nobody.post('/api/auth/signout', undefined, { cookie })).status).toBe(200);
    expectRefusal('tasks', 401, await nobody.get('/api/tasks', { cookie }));
  });
});

test('signing in twice with one Idempotency-Key gives two sessions that are good', async () => {
  for (let i = 0; i < 2; i++) {
    const answer = await nobody.post('/api/auth/signin', credentials(), { 'idempotency-key': 'again' });
    expect((await nobody.get('/api/tasks', { cookie: cookieOf(answer) })).status).toBe(200);
  }
});

describe('offers to go on in another protocol', () => {
  test('h2c: answered in this one', async () => {
    const upgrade = {
      connection: 'Upgrade, HTTP2-Settings',
      upgrade: 'h2c',
      'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA',
    };
    expect((await raw(stack.url, '/health', upgrade)).status).toBe(200);
    expect((await raw(stack.url, '/api/tasks', upgrade)).status).toBe(401);
  });

  test('a WebSocket’s handshake that is wrong is refused in JSON', async () => {
    const authorization = admin.header('authorization');
    const handshake = { authorization, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' };
    const { status, headers, body } = await raw(stack.url, '/ws', handshake);
    expect([status, headers['content-type']]).toEqual([400, 'application/json; charset=utf-8']);
    expect(JSON.parse(body)).toMatchObject({
      error: { message: expect.stringMatching(/Sec-WebSocket-Key/) as string },
    });
  });

  test('what a socket says before it is welcome is answered after that', async () => {
    const socket = new WebSocket(`${stack.wsUrl}/ws`, { headers: { authorization: admin.header('authorization') } });
    const types: string[] = [];
    socket.on('open', () => socket.send('{"type": "ping"}'));
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (data) => {
        types.push((JSON.parse(String(data as Buffer)) as { type: string }).type);
        if (types.length === 2) resolve();
      });
    });
    socket.terminate();
    expect(types).toEqual(['connected', 'pong']);
  });
});

describe('claude: is a prompt for the claude command line', () => {
  test('GET /health knows whether it is there', async () => {
    expect((await nobody.get('/health')).body).toMatchObject({ services: { claude_code: 'available' } });
  });

  test('it is run as any other command, with a timeout of its own', async () => {
    const task = await makeTask(admin, { command: 'claude: say', args: 'hello "there"' });
    expect([task.command, task.args]).toEqual(['claude: say', 'hello "there"']);
    const { id, status } = await runToEnd(admin, task);
    expect([status, await printed(admin, id)]).toEqual(['completed', '--print|say hello "there"|']);
    const policies = async () =>
      (await admin.get<{ policies: { timeout?: string } }>(`/api/v1/processes/${task.id}`)).body.policies;
    expect((await policies()).timeout).toBe('30m');
    await admin.call('PUT', `/api/tasks/${task.id}`, { command: 'echo' });
    expect((await policies()).timeout).toBeUndefined();
  });
});
