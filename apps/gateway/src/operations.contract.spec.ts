import { randomUUID } from 'node:crypto';
import { io } from 'socket.io-client';
import { adminOf, Client, eventually, startStack, type Stack } from '#testing';
import { expectRefusal, headOf } from './refused.harness.js';

interface Line {
  service: string;
  msg: string;
  correlationId?: string;
  correlationIds?: string[];
}

let stack: Stack;
let admin: Client;

beforeAll(async () => {
  const settings = { RUNLEDGER_RATE_LIMITS: 'on', RUNLEDGER_LOG_LEVEL: 'debug', NODE_ENV: 'production' };
  stack = await startStack(globalThis.topology, settings);
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const lines = (): Line[] =>
  stack
    .logs()
    .split('\n')
    // The last one may be half written.
    .slice(0, -1)
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);

/** Which services said what under this id. */
const said = (id: string): Set<string> =>
  new Set(
    lines()
      .filter(({ correlationId, correlationIds }) => correlationId === id || correlationIds?.includes(id))
      .map(({ service, msg }) => `${service}: ${msg}`),
  );

describe('rate limits: every login endpoint shares one bucket of attempts a minute', () => {
  test('the 6th is 429 with Retry-After, in the words of either surface, and writes nothing', async () => {
    const nobody = new Client(stack.url);
    const good = { username: 'admin', password: stack.adminPassword };
    const bad = { username: 'admin', password: 'wrong password' };
    const login = (body: object) => nobody.post('/api/auth/login', body);
    const token = (body: Record<string, string>) => nobody.post('/api/v1/auth/token', new URLSearchParams(body));
    expect((await login({ username: 'admin' })).status).toBe(400);
    // The first of the five signed the admin in.
    const statuses = [];
    for (const attempt of [login, token]) statuses.push((await attempt(bad)).status);
    const signedIn = await login(good);
    statuses.push(signedIn.status, (await token(good)).status);
    expect(statuses).toEqual([401, 401, 200, 200]);
    // In production, which is where https is.
    expect(signedIn.headers.getSetCookie()[0]).toMatch(/^connect\.sid=.*; Secure(;|$)/);
    expect(signedIn.headers.get('strict-transport-security')).toMatch(/max-age=\d+/);
    await eventually('both refusals to be recorded', async () => {
      const { body } = await admin.get<{ items: unknown[] }>('/api/v1/events?type=SessionRefused');
      return body.items.length === 2;
    });
    const before = await headOf(admin);
    for (const body of [good, bad, { ...good, username: 'somebody-else' }]) {
      for (const [surface, answer] of [['viewer', await login(body)] as const, ['jobs', await token(body)] as const]) {
        expectRefusal(surface, 429, answer);
        const wait = Number(answer.headers.get('retry-after'));
        expect(wait >= 1 && wait <= 60).toBe(true);
        expect(answer.headers.getSetCookie()).toEqual([]);
      }
    }
    expect(await headOf(admin)).toBe(before);
    expect((await admin.get('/api/processes')).status).toBe(200);
  });
});

test('data cannot be framed, sniffed, run or taken by another origin; pages may show what is theirs', async () => {
  const policyOf = async (path: string) => {
    const { headers } = await admin.get(path);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('x-frame-options')).toBe('SAMEORIGIN');
    return headers.get('content-security-policy');
  };
  for (const path of ['/api/v1/me', '/api/processes', '/api/nonesuch']) {
    expect(await policyOf(path)).toBe("default-src 'none';frame-ancestors 'none'");
  }
  expect(await policyOf('/docs')).toMatch(/default-src 'self';.*frame-ancestors 'none'/);
});

describe('tracing: one order can be followed through every hop', () => {
  test('X-Correlation-Id: gateway, executor, event, history, socket', async () => {
    const id = `trace-${randomUUID()}`;
    const authorization = admin.header('authorization');
    const socket = io(stack.url, { auth: { token: authorization.replace('Bearer ', '') }, transports: ['websocket'] });
    try {
      const told: { type: string; meta: { correlationId: string } }[] = [];
      socket.on('event', (event: (typeof told)[number]) => told.push(event));
      expect(await socket.timeout(10_000).emitWithAck('subscribe', { room: 'events' })).toMatchObject({ ok: true });
      const body = { name: 'traced', action: { kind: 'command', shell: 'true' } };
      const answer = await admin.post<{ id: string }>('/api/v1/runs', body, { 'x-correlation-id': id });
      expect([answer.status, answer.headers.get('x-correlation-id')]).toEqual([202, id]);
      const events = await eventually('the end of the run', async () => {
        const path = `/api/v1/runs/${answer.body.id}/events`;
        const { items } = (await admin.get<{ items: typeof told }>(path)).body;
        return items.some(({ type }) => type === 'RunSucceeded') && items;
      });
      expect(events.map(({ type, meta }) => [type, meta.correlationId])).toEqual(
        ['RunRequested', 'RunStarted', 'RunSucceeded'].map((type) => [type, id]),
      );
      const service = (name: string) => (globalThis.topology === 'solo' ? 'solo' : name);
      const wanted = [
        `${service('gateway')}: http`,
        `${service('executor')}: run requested`,
        `${service('executor')}: run starts`,
        `${service('history')}: projected`,
        `${service('gateway')}: told a socket`,
      ];
      await eventually(`${id} in the logs of every hop`, () =>
        Promise.resolve(wanted.every((line) => said(id).has(line))),
      ).catch(() => undefined);
      expect([...said(id)]).toEqual(expect.arrayContaining(wanted));
      await eventually('the end of the run at the socket', () =>
        Promise.resolve(told.some(({ type, meta }) => type === 'RunSucceeded' && meta.correlationId === id)),
      );
    } finally {
      socket.disconnect();
    }
  });

  test('a definition: gateway, scheduler, history', async () => {
    const id = randomUUID();
    const body = { name: 'traced', action: { kind: 'noop' } };
    const answer = await admin.post('/api/v1/processes', body, { 'x-correlation-id': id });
    expect(answer.status).toBe(201);
    const hops = globalThis.topology === 'solo' ? ['solo'] : ['gateway', 'scheduler', 'history'];
    await eventually(`${id} in the logs of every hop`, () => {
      const services = new Set([...said(id)].map((line) => line.split(':')[0]));
      return Promise.resolve(hops.every((hop) => services.has(hop)));
    });
  });

  test('an id that is none of ours is not taken over; each answer carries one', async () => {
    for (const id of ['', 'short', 'x'.repeat(65), 'with spaces in it', '{"level":"error"}']) {
      const { headers } = await admin.get('/api/v1/me', { 'x-correlation-id': id });
      expect(headers.get('x-correlation-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
    const refused = await new Client(stack.url).get<{ correlationId: string }>('/api/v1/me');
    expect(refused.headers.get('x-correlation-id')).toBe(refused.body.correlationId);
  });

  test('no credential stands in any line', () => {
    const log = stack.logs();
    expect(log).not.toContain(stack.adminPassword);
    expect(log).not.toContain(admin.header('authorization').split('.').at(-1));
  });
});
