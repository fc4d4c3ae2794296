import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSign,
  generateKeyPairSync,
  randomUUID,
  type KeyObject,
} from 'node:crypto';
import pg from 'pg';
import { z } from 'zod';
import { adminOf, Client, sendRaw, startStack, type Stack } from '#testing';
import './gateway.module.js';
import { expectRefusal, headOf, type SurfaceName } from './refused.harness.js';
import { surfaceOf } from './refusals.js';
import { routes, type RouteEntry } from './route.js';

const allowed = 'https://console.example';
const unsafe = routes.filter(({ method }) => method !== 'GET');
const guarded = routes.filter(({ policy }) => policy !== 'public');
let stack: Stack;
let nobody: Client;
let admin: Client;
let cookie: string;
let token: string;
let key: { kid: string; private_pem: string; public_pem: string };

beforeAll(async () => {
  stack = await startStack(globalThis.topology, { RUNLEDGER_ALLOWED_ORIGINS: allowed });
  nobody = new Client(stack.url);
  admin = await adminOf(stack);
  const login = { username: 'admin', password: stack.adminPassword };
  const { body } = await nobody.post<{ access_token: string }>('/api/auth/login', login);
  token = body.access_token;
  cookie = `connect.sid=${token}`;
  const database = new pg.Client({ connectionString: stack.databaseUrl });
  await database.connect();
  const { rows } = await database.query<typeof key>('select kid, private_pem, public_pem from signing_key');
  key = rows[0]!;
  await database.end();
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const named = ({ method, path }: RouteEntry) => `${method} ${path}`;
const pathOf = ({ path }: RouteEntry) => path.replaceAll(/:\w+/g, () => randomUUID());
const surfaceFor = (route: RouteEntry) => surfaceOf(route.path).name as SurfaceName;
const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimsOf = (jwt: string) =>
  JSON.parse(Buffer.from(jwt.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>;

/** The session's own claims with some exchanged, signed as auth does it. */
function signed(change: object, header: object = {}, by: KeyObject = createPrivateKey(key.private_pem)): string {
  const text = `${base64({ alg: 'ES256', typ: 'JWT', kid: key.kid, ...header })}.${base64({ ...claimsOf(token), ...change })}`;
  const signature = createSign('sha256').update(text).sign({ key: by, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

/** The public key as the secret of a symmetric signature: what a verifier that trusts `alg` would take. */
function signedWithPublicKey(): string {
  const text = `${base64({ alg: 'HS256', typ: 'JWT', kid: key.kid })}.${base64(claimsOf(token))}`;
  return `${text}.${createHmac('sha256', key.public_pem).update(text).digest('base64url')}`;
}

function badTokens(): Record<string, string> {
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const hour = Math.floor(Date.now() / 1_000) - 3_600;
  return {
    garbage: 'nonsense',
    'three dots': 'a.b.c',
    forged: signed({}, {}, stranger),
    'forged, its own key inside': signed(
      {},
      { jwk: createPublicKey(key.public_pem).export({ format: 'jwk' }) },
      stranger,
    ),
    expired: signed({ exp: hour }),
    'not yet valid': signed({ nbf: hour + 7_200 }),
    'alg none': `${base64({ alg: 'none', typ: 'JWT', kid: key.kid })}.${payload}.`,
    'alg none, with a signature': `${base64({ alg: 'none', kid: key.kid })}.${payload}.${signature}`,
    'HS256 with the public key': signedWithPublicKey(),
    truncated: token.slice(0, -8),
    'without signature': `${header}.${payload}.`,
    'other claims': `${header}.${base64({ ...claimsOf(token), sub: randomUUID() })}.${signature}`,
    'unknown key': signed({}, { kid: randomUUID() }),
    'no key named': signed({}, { kid: undefined }),
    'another issuer': signed({ iss: 'somebody' }),
    'another audience': signed({ aud: 'somebody' }),
    'unknown session': signed({ sid: randomUUID() }),
    "somebody else's session": signed({ sub: randomUUID() }),
    'no session': signed({ sid: undefined }),
    'a session that is no id': signed({ sid: "' or 1=1 --" }),
  };
}

describe('every guarded route refuses a bad credential', () => {
  test('the tokens made here are taken when nothing is wrong with them', async () => {
    expect((await nobody.get('/api/v1/me', { authorization: `Bearer ${signed({})}` })).status).toBe(200);
    expect((await nobody.get('/api/v1/me', { cookie: `next-auth.session-token=${token}` })).status).toBe(200);
  });

  test.each(guarded.map((route) => [named(route), route] as const))('%s', async (name, route) => {
    const before = await headOf(admin);
    const credentials: [string, Record<string, string>][] = [
      ['missing', {}],
      ['empty', { authorization: 'Bearer ' }],
      ['another scheme', { authorization: `Basic ${token}` }],
      ['a good cookie beside a bad token', { authorization: 'Bearer nonsense', cookie }],
      ...Object.entries(badTokens()).flatMap(([what, bad]): [string, Record<string, string>][] => [
        [what, { authorization: `Bearer ${bad}` }],
        [
          `${what}, as a cookie`,
          { cookie: `${route.method === 'GET' ? 'connect.sid' : 'next-auth.session-token'}=${bad}` },
        ],
      ]),
    ];
    const refused = async ([what, headers]: (typeof credentials)[number]) => {
      const answer = await nobody.call(route.method, pathOf(route), undefined, headers);
      expectRefusal(surfaceFor(route), 401, answer, `${name}: ${what}`);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(answer.text).toContain('Unauthorized');
    };
    await Promise.all(credentials.map(refused));
    if (route.method === 'GET') expect((await nobody.call('HEAD', pathOf(route))).status).toBe(401);
    expect(await headOf(admin)).toBe(before);
  });

  test('a good credential passes every one of them', async () => {
    for (const route of guarded) {
      const { status } = await admin.call(route.method, pathOf(route));
      expect([named(route), [401, 403].includes(status)]).toEqual([named(route), false]);
    }
  });

  test('what is open to anybody is listed here, and nothing else is', () => {
    expect(
      routes
        .filter(({ policy }) => policy === 'public')
        .map(named)
        .sort(),
    ).toEqual([
      'GET /',
      'GET /api/auth/me',
      'GET /api/v1/health',
      'GET /api/v1/openapi.json',
      'GET /health',
      'GET /metrics',
      'POST /api/auth/login',
      'POST /api/auth/logout',
      'POST /api/auth/signin',
      'POST /api/auth/signout',
      'POST /api/v1/auth/token',
    ]);
  });

  test('metrics are for whoever may read them', async () => {
    expectRefusal('root', 401, await nobody.get('/metrics'));
    expect((await admin.get('/metrics')).text).toContain('# TYPE');
  });

  test('the description names every route and no other', async () => {
    const { body } = await nobody.get<{ paths: Record<string, object> }>('/api/v1/openapi.json');
    const described = Object.entries(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    );
    expect(described.sort()).toEqual(routes.map(named).sort());
    expect((await nobody.get('/docs')).status).toBe(200);
  });
});

describe('a page of another origin changes nothing with the cookies of whoever looks at it', () => {
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1:1' },
    { origin: `${allowed}.evil.example` },
    { origin: 'http://console.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
  ];

  test.each(unsafe.map((route) => [named(route), route] as const))('%s', async (name, route) => {
    const before = await headOf(admin);
    const body = route.path.endsWith('login') ? { username: 'admin', password: stack.adminPassword } : undefined;
    for (const headers of foreign) {
      const answer = await nobody.call(route.method, pathOf(route), body, { cookie, ...headers });
      expectRefusal(surfaceFor(route), 403, answer, `${name} ${JSON.stringify(headers)}`);
      expect(answer.headers.getSetCookie()).toEqual([]);
    }
    expect(await headOf(admin)).toBe(before);
    expect((await nobody.get('/api/v1/me', { cookie })).status).toBe(200);
  });

  test('the same origin, no origin at all, and a bearer from anywhere pass', async () => {
    const process = { name: 'p', action: { kind: 'noop' } };
    const own: Record<string, string>[] = [
      { cookie },
      { cookie, origin: stack.url },
      { cookie, 'sec-fetch-site': 'same-origin' },
      { cookie, 'sec-fetch-site': 'none' },
      { cookie, origin: allowed, 'sec-fetch-site': 'cross-site' },
      { authorization: `Bearer ${token}`, origin: 'https://evil.example' },
    ];
    for (const headers of own) {
      const { status } = await nobody.post('/api/v1/processes', process, headers);
      expect([headers, status]).toEqual([headers, 201]);
    }
    for (const headers of foreign)
      expect((await nobody.get('/api/processes', { cookie, ...headers })).status).toBe(200);
  });
});

describe('RUNLEDGER_ALLOWED_ORIGINS', () => {
  test('a page there may read answers, refusals too, with credentials', async () => {
    for (const path of ['/api/processes', '/api/v1/me', '/api/v1/jobs', '/api/nope', '/nope']) {
      for (const headers of [{ cookie, origin: allowed }, { origin: allowed }] as Record<string, string>[]) {
        const answer = await nobody.get(path, headers);
        expect([path, answer.headers.get('access-control-allow-origin')]).toEqual([path, allowed]);
        expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
        const exposed = answer.headers.get('access-control-expose-headers') ?? '';
        for (const name of ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset', 'X-Ledger-Position']) {
          expect(exposed).toContain(name);
        }
        expect(answer.headers.get('vary')).toContain('Origin');
      }
    }
  });

  test('its preflights are answered, for every method of the routes', async () => {
    for (const method of new Set(unsafe.map((route) => route.method))) {
      const answer = await nobody.call('OPTIONS', '/api/v1/processes', undefined, {
        origin: allowed,
        'access-control-request-method': method,
        'access-control-request-headers': 'content-type,authorization,idempotency-key',
      });
      expect([method, answer.status]).toEqual([method, 204]);
      expect(answer.headers.get('access-control-allow-origin')).toBe(allowed);
      expect(answer.headers.get('access-control-allow-methods')).toContain(method);
      expect(answer.headers.get('access-control-allow-headers')).toContain('idempotency-key');
    }
  });

  test('a page anywhere else may read nothing', async () => {
    for (const origin of ['https://evil.example', `${allowed}:8443`, `${allowed}.evil.example`, 'null']) {
      const headers = { origin, 'access-control-request-method': 'POST' };
      const answers = [
        await nobody.get('/api/processes', { cookie, origin }),
        await nobody.call('OPTIONS', '/api/v1/processes', undefined, headers),
      ];
      for (const answer of answers) expect(answer.headers.get('access-control-allow-origin')).toBeNull();
    }
  });
});

describe('PORT takes a list', () => {
  test('every surface answers on each port', async () => {
    const other = new Client(stack.otherUrl, { cookie });
    for (const path of ['/api/processes', '/api/v1/me', '/api/v1/jobs', '/docs', '/api/v1/health']) {
      expect([path, (await other.get(path)).status]).toEqual([path, 200]);
    }
    expectRefusal('jobs', 404, await other.get('/api/v1/jobs/nope'));
    const { headers, ...answer } = await sendRaw(stack.otherUrl, 'FETCH /api/v1/runs HTTP/1.1\r\n\r\n');
    const body = JSON.parse(answer.text) as unknown;
    expectRefusal('native', 400, { ...answer, body, headers: new Headers(headers) });
  });

  test('a page served by one of them is another origin for the other', async () => {
    const answer = await nobody.post('/api/auth/logout', undefined, { cookie, origin: stack.otherUrl });
    expectRefusal('viewer', 403, answer);
  });
});

describe('no address makes a server error', () => {
  const odd = ['', '%00', 'x'.repeat(3_000), '-1', '1e400', '9'.repeat(18), '9'.repeat(25), '[]', "'", '%F0%9F%98%80'];
  const odder = [
    '0',
    'null',
    'true',
    '2026-13-45',
    '275760-09-13T00:00:00Z',
    '9999-12-31T23:59:59Z',
    '%ED%A0%80',
    '%25',
  ];
  const reading = routes.filter(({ method, query }) => method === 'GET' && query);

  test.each(reading.map((route) => [named(route), route] as const))('%s', async (name, route) => {
    const process = await admin.post<{ id: string; number: number }>('/api/v1/processes', {
      name: 'p',
      action: { kind: 'noop' },
    });
    const run = await admin.post<{ id: string }>(`/api/v1/processes/${process.body.id}/run`);
    const id = /^\/api\/processes/.test(route.path)
      ? String(process.body.number)
      : /runs|jobs/.test(route.path)
        ? run.body.id
        : process.body.id;
    const { properties = {} } = z.toJSONSchema(route.query!, { io: 'input', unrepresentable: 'any' });
    const ask = async (query: string) => {
      const { status } = await admin.get(`${route.path.replace(':id', id)}?${query}`);
      if (![200, 400, 404, 409, 422].includes(status)) throw new Error(`${name} ${query}: ${status}`);
    };
    for (const parameter of [...Object.keys(properties), 'unknown']) {
      // A position that is still to come is waited for; one test of it is enough.
      const values = [...odd, ...odder].filter((value) => parameter !== 'after' || !/^9{18}$/.test(value));
      await Promise.all(values.map((value) => ask(`${parameter}=${value}`)));
    }
  });

  test('a position that never comes is waited for in vain, not turned into an error', async () => {
    const never = `after=${'9'.repeat(18)}`;
    const paths = ['/api/v1/processes', '/api/v1/runs', `/api/v1/runs/${randomUUID()}`, '/api/v1/events'];
    const answers = await Promise.all(paths.map((path) => admin.get(`${path}?${never}`)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 200]);
  });
});
