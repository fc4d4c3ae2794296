import { type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Refusal, rights, roles, type Right, type Role } from '#domain';
import { type Context } from '#service';
import './gateway.module.js';
import { isForeign, PolicyGuard } from './guard.js';
import { Route, routes, type Policy, type RouteEntry } from './route.js';
import { type TokenCheck } from './token-check.js';

/** Who may what, once more and by hand: the table of the contracts, not that of the code. */
const table: Record<Right, Role[]> = {
  'processes:read': ['admin', 'operator', 'viewer', 'user'],
  'processes:write': ['admin', 'operator', 'user'],
  'runs:read': ['admin', 'operator', 'viewer', 'user'],
  'runs:request': ['admin', 'operator', 'user'],
  'runs:control': ['admin', 'operator', 'user'],
  'runs:override': ['admin', 'operator'],
  'commands:run': ['admin', 'operator'],
  'calendars:write': ['admin', 'operator'],
  'schedule:pause': ['admin'],
  'events:read': ['admin', 'operator', 'viewer'],
  'ledger:verify': ['admin', 'operator', 'viewer'],
  'metrics:read': ['admin', 'operator', 'viewer'],
  'webhooks:manage': ['admin', 'operator'],
  'users:manage': ['admin'],
  'any:read': ['admin', 'operator', 'viewer'],
  'any:write': ['admin'],
};

interface Asked {
  handler: () => void;
  role?: Role;
  method?: string;
  headers?: Record<string, string>;
}

const bare = () => undefined;

/** A handler with this policy. The list of all routes stays what it is. */
function handlerWith(policy: Policy): () => void {
  const handler = () => undefined;
  const entries = routes.length;
  Route('GET', '/somewhere', { policy, summary: 'x' })({ constructor: Object }, 'handler', { value: handler });
  routes.length = entries;
  return handler;
}

/** What the guard decides for somebody of this role: `passes`, or the refusal's kind. */
async function decided({ handler, role, method = 'GET', headers = {} }: Asked): Promise<string> {
  const known = role === undefined ? {} : { authorization: 'Bearer good' };
  const request = { method, headers: { host: 'here:8000', ...known, ...headers }, cookies: {} };
  const execution = {
    getHandler: () => handler,
    switchToHttp: () => ({ getRequest: () => request }),
  } as unknown as ExecutionContext;
  const tokens = { check: () => Promise.resolve({ user: { role } }) } as unknown as TokenCheck;
  const context = { config: { RUNLEDGER_ALLOWED_ORIGINS: ['https://friend.example'] } } as unknown as Context;
  try {
    return (await new PolicyGuard(new Reflector(), tokens, context).canActivate(execution)) ? 'passes' : 'closed';
  } catch (error) {
    return error instanceof Refusal ? error.kind : String(error);
  }
}

describe('default deny', () => {
  test.each(roles)('a handler without @Route is refused to a %s', async (role) => {
    expect(await decided({ handler: bare, role })).toBe('forbidden');
  });

  test('a handler without @Route is refused to nobody in particular', async () => {
    expect(await decided({ handler: bare })).toBe('forbidden');
  });

  test('whoever is nobody may come to what is public only', async () => {
    expect(await decided({ handler: handlerWith('public') })).toBe('passes');
    for (const policy of ['session', ...rights] as const) {
      expect([policy, await decided({ handler: handlerWith(policy) })]).toEqual([policy, 'unauthenticated']);
    }
  });
});

describe('role x right', () => {
  test('the table here names every right', () => {
    expect(Object.keys(table).sort()).toEqual([...rights].sort());
  });

  test.each(rights.flatMap((right) => roles.map((role) => [role, right] as const)))('%s: %s', async (role, right) => {
    const expected = table[right].includes(role) ? 'passes' : 'forbidden';
    expect(await decided({ handler: handlerWith(right), role })).toBe(expected);
  });

  test.each(roles)('a %s may come to what needs a session only', async (role) => {
    expect(await decided({ handler: handlerWith('session'), role })).toBe('passes');
  });
});

describe('role x route', () => {
  const named = ({ method, path }: RouteEntry) => `${method} ${path}`;
  const closedTo = (role: Role) =>
    routes
      .filter(({ policy }) => policy !== 'public' && policy !== 'session' && !table[policy].includes(role))
      .map(named);

  test('no route is closed to an admin, and to an operator only what manages users or stops everybody', () => {
    expect(closedTo('admin')).toEqual([]);
    const closed = closedTo('operator');
    expect(closed.length).toBeGreaterThan(0);
    expect(closed.filter((route) => !/ \/api\/v1\/(users|admin|pause)(\/|$)/.test(route))).toEqual([]);
  });

  test('a viewer changes nothing but his own session and password', () => {
    const open = routes.filter((route) => route.method !== 'GET' && !closedTo('viewer').includes(named(route)));
    expect(open.map(named).sort()).toEqual([
      'POST /api/auth/login',
      'POST /api/auth/logout',
      'POST /api/auth/signin',
      'POST /api/auth/signout',
      'POST /api/v1/auth/token',
      'POST /api/v1/me/password',
      'POST /api/v1/schedule/preview',
    ]);
  });

  test('a user submits no jobs, and reads neither the ledger nor its verification', () => {
    expect(closedTo('user')).toEqual(
      expect.arrayContaining(['POST /api/v1/jobs', 'GET /api/v1/events', 'GET /api/v1/verify']),
    );
  });
});

describe('another origin', () => {
  const cases: [headers: Record<string, string>, foreign: boolean][] = [
    [{}, false],
    [{ origin: 'http://here:8000' }, false],
    [{ origin: 'https://here:8000' }, false],
    [{ origin: 'https://friend.example' }, false],
    [{ origin: 'https://friend.example', 'sec-fetch-site': 'cross-site' }, false],
    [{ 'sec-fetch-site': 'same-origin' }, false],
    [{ 'sec-fetch-site': 'none' }, false],
    [{ 'sec-fetch-site': 'same-site' }, true],
    [{ 'sec-fetch-site': 'cross-site' }, true],
    [{ origin: 'null' }, true],
    [{ origin: '' }, true],
    [{ origin: 'http://here' }, true],
    [{ origin: 'http://here:8001' }, true],
    [{ origin: 'http://here:8000.evil.example' }, true],
    [{ origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' }, true],
  ];
  test.each(cases)('%j: foreign is %s', async (headers, foreign) => {
    expect(isForeign({ headers: { host: 'here:8000', ...headers } }, ['https://friend.example'])).toBe(foreign);
    const open = handlerWith('public');
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      expect(await decided({ handler: open, method, headers })).toBe(foreign ? 'forbidden' : 'passes');
      expect(await decided({ handler: open, method, headers, role: 'user' })).toBe('passes');
    }
    for (const method of ['GET', 'HEAD', 'OPTIONS'])
      expect(await decided({ handler: open, method, headers })).toBe('passes');
  });
});
