import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, startStack, type Answer, type Stack } from '#testing';
import {
  define,
  eventsOf,
  noop,
  requestRun,
  runToEnd,
  sh,
  type LedgerEvent,
  type List,
  type Problem,
  type Process,
  type Run,
} from './native.harness.js';

let stack: Stack;
let admin: Client;
let password: string;
const file = () => path.join(stack.dataDir, 'admin-password');

async function signIn(secret: string): Promise<Client> {
  const form = new URLSearchParams({ username: 'admin', password: secret });
  const { body, text } = await new Client(stack.url).post<{ access_token?: string }>('/api/v1/auth/token', form);
  if (!body.access_token) throw new Error(text);
  return new Client(stack.url, { authorization: `Bearer ${body.access_token}` });
}

beforeAll(async () => {
  stack = await startStack(topology, { RUNLEDGER_ADMIN_PASSWORD: '' });
  password = readFileSync(file(), 'utf8').trim();
  admin = await signIn(password);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const events = async (query: string) => {
  const { status, body } = await admin.get<List<LedgerEvent>>(`/api/v1/events?${query}`);
  expect(status).toBe(200);
  return body;
};

async function allEvents(query: string): Promise<LedgerEvent[]> {
  const found: LedgerEvent[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: List<LedgerEvent> = await events(`${query}${cursor && `&cursor=${cursor}`}`);
    found.push(...page.items);
    cursor = page.next;
  }
  return found;
}

describe('GET /events', () => {
  test('the whole ledger from a position, oldest first, without gaps, page by page', async () => {
    for (let i = 0; i < 5; i++) await runToEnd(admin, noop);
    await runToEnd(admin, sh('true'));
    const all = await allEvents('limit=4');
    expect(all.length).toBeGreaterThanOrEqual(15);
    expect(all.map(({ position }) => position)).toEqual(all.map((_, i) => String(i + 1)));
    expect(all.at(-1)).toEqual({
      ...{ position: expect.any(String), id: expect.any(String), stream: expect.stringMatching(/^run-/), version: 3 },
      ...{ type: 'RunSucceeded', schema: 1, data: expect.any(Object), digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
      meta: {
        ...{ actor: 'system', at: expect.stringMatching(/Z$/), correlationId: expect.any(String) },
        causationId: null,
      },
    });
    const later = await allEvents(`after=${all[4]!.position}&limit=1000`);
    expect(later).toEqual(all.slice(5));
  });

  test('by type, actor and stream', async () => {
    const { owner, id } = await runToEnd(admin, noop);
    const types = (found: LedgerEvent[]) => new Set(found.map(({ type }) => type));
    expect(types(await allEvents('type=RunStarted&limit=3'))).toEqual(new Set(['RunStarted']));
    const mine = await allEvents(`actor=${owner}&limit=3`);
    expect(new Set(mine.map(({ meta }) => meta.actor))).toEqual(new Set([owner]));
    expect(types(mine)).toContain('RunRequested');
    expect(await allEvents(`stream=run-${id}`)).toEqual(await eventsOf(admin, id));
    expect(await allEvents(`stream=run-${id}&type=RunStarted`)).toHaveLength(1);
    expect(await allEvents('type=NoSuchThing&limit=2')).toEqual([]);
  });

  test('at the end there is no next', async () => {
    const head = (await admin.get('/api/v1/events?limit=1')).headers.get('x-ledger-position')!;
    expect(await events(`after=${head}`)).toEqual({ items: [], next: null });
    expect((await admin.get('/api/v1/events?after=-1')).status).toBe(422);
  });
});

describe('X-Ledger-Position and ?after=', () => {
  test('what an order answers is seen by a reader who waits for it, whoever he is', async () => {
    const other = await signIn(password);
    for (let i = 0; i < 10; i++) {
      const made = await admin.post<Process>('/api/v1/processes', { name: `seen ${i}`, action: noop });
      const position = made.headers.get('x-ledger-position')!;
      const [one, list] = await Promise.all([
        other.get<Process>(`/api/v1/processes/${made.body.id}?after=${position}`),
        other.get<List<Process>>(`/api/v1/processes?limit=1&after=${position}`),
      ]);
      expect([one.status, list.body.items[0]?.id]).toEqual([200, made.body.id]);
      expect(Number(one.headers.get('x-ledger-position'))).toBeGreaterThanOrEqual(Number(position));
    }
  });

  test('a reader sees his own writes without asking for it', async () => {
    for (let i = 0; i < 10; i++) {
      const { id } = await requestRun(admin, noop);
      expect((await admin.get(`/api/v1/runs/${id}`)).status).toBe(200);
      expect((await admin.get<List<Run>>('/api/v1/runs?limit=1')).body.items[0]?.id).toBe(id);
    }
  });

  test('is on every answer, refusals too; what reads a view is as new as his own last order', async () => {
    const { id } = await define(admin, {});
    const { id: run } = await requestRun(admin, noop);
    let written = 0;
    for (const [method, place, body] of [
      ['POST', `processes/${id}/disable`, {}],
      ['POST', `processes/${id}/disable`, {}],
      ['GET', 'processes'],
      ['GET', `processes/${id}`],
      ['GET', 'runs'],
      ['GET', `runs/${run}`],
      ['GET', `runs/${run}/events`],
      ['GET', 'events?limit=1'],
      ['DELETE', `processes/${id}`],
      ['GET', 'processes'],
      ['GET', `runs/${run}/output`],
      ['GET', 'me'],
      ['GET', 'verify'],
      ['GET', 'no-such-path'],
      ['POST', 'runs', {}],
    ] as const) {
      const { headers } = await admin.call(method, `/api/v1/${place}`, body);
      const position = headers.get('x-ledger-position');
      expect([place, position]).toEqual([place, expect.stringMatching(/^[1-9]\d*$/)]);
      if (method !== 'GET') written = Math.max(written, Number(position));
      else if (/^(processes|runs|events)/.test(place)) {
        expect([place, Number(position) >= written]).toEqual([place, true]);
      }
    }
  });
});

describe('Idempotency-Key', () => {
  const key = (name: string) => ({ 'idempotency-key': name });

  test('the same key and body is the same answer; another body is 422', async () => {
    const body = { name: 'once', action: noop };
    const first = await admin.post<Process>('/api/v1/processes', body, key('define'));
    const second = await admin.post<Process>('/api/v1/processes', body, key('define'));
    expect([second.status, second.body]).toEqual([201, first.body]);
    const other = await admin.post<Problem>('/api/v1/processes', { ...body, name: 'twice' }, key('define'));
    expect([other.status, other.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    const elsewhere = await admin.post<Problem>('/api/v1/runs', { action: noop }, key('define'));
    expect([elsewhere.status, elsewhere.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });

  test('twenty at once with one key make one run', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        admin.post<Run>('/api/v1/runs', { action: noop, name: 'twenty' }, key('twenty')),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    const { items } = (await admin.get<List<Run>>('/api/v1/runs?limit=1000')).body;
    expect(items.filter(({ name }) => name === 'twenty')).toHaveLength(1);
  });

  test('at once with one key and two bodies, one is carried out', async () => {
    const name = (i: number) => `race ${i % 2}`;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        admin.post<Run>('/api/v1/runs', { action: noop, name: name(i) }, key('race')),
      ),
    );
    const good = answers.filter(({ status }) => status === 202);
    expect(new Set(good.map(({ body }) => body.id)).size).toBe(1);
    expect(new Set(good.map(({ body }) => body.name)).size).toBe(1);
    // Whoever sent the body that was carried out is never refused.
    answers.forEach(({ status }, i) => {
      if (name(i) === good[0]!.body.name) expect([i, status]).toEqual([i, 202]);
      else expect([202, 422]).toContain(status);
    });
  });

  test('the same answer whatever became of what the order names', async () => {
    type Id = { id: string };
    const windows = [{ from: '2099-12-24T00:00:00Z', to: '2099-12-27T00:00:00Z' }];
    const calendar = { name: 'key freeze', windows };
    const named = { name: 'named', action: noop, policies: { blackouts: ['key freeze'] } };
    const made = await admin.post<Id>('/api/v1/calendars', calendar, key('became.calendar'));
    const place = `/api/v1/calendars/${made.body.id}`;
    const defined = await admin.post<Process>('/api/v1/processes', named, key('became.process'));
    const { id } = defined.body;
    const path = `/api/v1/processes/${id}`;
    const ran = await admin.post<Run>(`${path}/run`, {}, key('became.run'));
    expect([made, defined, ran].map(({ status }) => status)).toEqual([201, 201, 202]);
    for (const gone of [place, path]) expect((await admin.call('DELETE', gone)).status).toBe(204);
    const again = await admin.post<Id>('/api/v1/calendars', calendar, key('became.calendar'));
    expect([again.status, again.body]).toEqual([201, made.body]);
    const definedAgain = await admin.post<Process>('/api/v1/processes', named, key('became.process'));
    expect([definedAgain.status, definedAgain.body.id]).toEqual([201, id]);
    const ranAgain = await admin.post<Run>(`${path}/run`, {}, key('became.run'));
    expect([ranAgain.status, ranAgain.body.id]).toEqual([202, ran.body.id]);
    const other = await admin.post<Problem>(`${path}/run`, { parameters: {} }, key('became.run'));
    expect([other.status, other.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    expect((await admin.post<Problem>('/api/v1/processes', named, key('became.fresh'))).status).toBe(422);
  });

  test('on every POST: run, disable, enable, cancel, retry', async () => {
    const { id } = await define(admin, {});
    const twice = async <T>(place: string, body: object): Promise<Answer<T>[]> => {
      const name = place.replaceAll('/', '.');
      return [await admin.post<T>(place, body, key(name)), await admin.post<T>(place, body, key(name))];
    };
    const [ran, again] = await twice<Run>(`/api/v1/processes/${id}/run`, {});
    expect([again!.status, again!.body.id]).toEqual([202, ran!.body.id]);
    for (const verb of ['disable', 'enable']) {
      const [first, second] = await twice<Process>(`/api/v1/processes/${id}/${verb}`, {});
      expect([first!.status, second!.status, second!.body.enabled]).toEqual([200, 200, verb === 'enable']);
    }
    const old = await runToEnd(admin, { kind: 'command', shell: 'exit 1' });
    const [retried, same] = await twice<Run>(`/api/v1/runs/${old.id}/retry`, {});
    expect([same!.status, same!.body.id]).toEqual([202, retried!.body.id]);
    const waiting = await requestRun(admin, { kind: 'command', shell: 'sleep 300' });
    const [cancelled, repeated] = await twice<Run>(`/api/v1/runs/${waiting.id}/cancel`, {});
    expect([cancelled!.status, repeated!.status]).toEqual([202, 202]);
  });

  test('a key that is none is refused', async () => {
    expect((await admin.post('/api/v1/runs', { action: noop }, key('a b'))).status).toBe(422);
    expect((await admin.post('/api/v1/runs', { action: noop }, key('x'.repeat(256)))).status).toBe(422);
  });
});

test('GET /verify: every digest and the chain are right', async () => {
  const { status, body } = await admin.get('/api/v1/verify');
  expect([status, body]).toEqual([
    200,
    {
      ok: true,
      checked: expect.stringMatching(/^[1-9]/),
      head: { position: expect.any(String), hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
    },
  ]);
  expect((await admin.get('/api/v1/verify?from=2&to=4')).body).toMatchObject({ ok: true });
  expect((await admin.get('/api/v1/verify?from=x')).status).toBe(422);
});

describe('openapi.json and /docs', () => {
  interface Description {
    openapi: string;
    paths: Record<string, Record<string, object>>;
  }

  test('lists every route of the document', async () => {
    const { status, body } = await new Client(stack.url).get<Description>('/api/v1/openapi.json');
    expect([status, body.openapi]).toEqual([200, '3.1.0']);
    const listed = Object.entries(body.paths).flatMap(([place, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${place}`),
    );
    expect(listed).toEqual(expect.arrayContaining(documented));
  });

  test('what is documented is guarded: without a credential it is 401, in the words of its surface', async () => {
    for (const line of documented.filter((line) => !/auth\/token|health|openapi/.test(line))) {
      const [method, place] = line.split(' ') as [string, string];
      const { status, headers } = await new Client(stack.url).call(method, place.replace('{id}', 'x'));
      expect([line, status, headers.get('www-authenticate')]).toEqual([line, 401, 'Bearer']);
    }
  });

  test('the page and what it loads are there', async () => {
    const { status, headers, text } = await new Client(stack.url).get('/docs');
    expect([status, headers.get('content-type')]).toEqual([200, expect.stringMatching(/^text\/html/)]);
    const scripts = [...text.matchAll(/<script[^>]+src="([^"]+)"/g)].map(
      ([, src]) => new URL(src!, `${stack.url}/docs`).pathname,
    );
    expect(scripts.length).toBeGreaterThan(0);
    for (const script of scripts)
      expect([script, (await new Client(stack.url).get(script)).status]).toEqual([script, 200]);
  });
});

test('an unknown path under /api/v1 is a problem document; another method is 405', async () => {
  const { status, headers, body } = await admin.get<Problem>('/api/v1/no-such-path');
  expect([status, body.status, headers.get('content-type')]).toEqual([
    404,
    404,
    expect.stringMatching(/^application\/problem\+json/),
  ]);
  const put = await admin.call<Problem>('PUT', '/api/v1/processes', {});
  expect([put.status, put.body.status, put.headers.get('allow')]).toEqual([405, 405, 'GET, POST']);
  expect((await admin.get('/api/v1/processes/?limit=1')).status).toBe(200);
});

describe('/me', () => {
  test('who I am, with what rights', async () => {
    const { status, body } = await admin.get<{ rights: string[] }>('/api/v1/me');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      username: 'admin',
      email: 'admin@example.com',
      role: 'admin',
      id: expect.any(String),
    });
    expect(body.rights).toEqual(expect.arrayContaining(['any:write', 'commands:run', 'users:manage']));
  });

  test('POST /me/password: checks the old one, removes the file of the first, ends the other sessions', async () => {
    const other = await signIn(password);
    const change = (body: object) => admin.post<Problem>('/api/v1/me/password', body);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect((await change({ current: 'wrong', new: 'a better one' })).status).toBe(400);
    expect((await change({ current: password, new: 'short' })).body.errors[0]?.path).toBe('new');
    expect((await change({ current: password, new: 'a better one', user: 'x' })).status).toBe(422);
    expect(existsSync(file())).toBe(true);
    const done = await change({ current: password, new: 'a better one' });
    expect([done.status, done.text]).toEqual([204, '']);
    expect(existsSync(file())).toBe(false);
    expect((await admin.get('/api/v1/me')).status).toBe(200);
    expect((await other.get('/api/v1/me')).status).toBe(401);
    await expect(signIn(password)).rejects.toThrow('Invalid credentials');
    expect((await (await signIn('a better one')).get('/api/v1/me')).status).toBe(200);
  });
});

const documented = [
  ...['POST /api/v1/processes', 'GET /api/v1/processes', 'GET /api/v1/processes/{id}', 'PATCH /api/v1/processes/{id}'],
  ...['DELETE /api/v1/processes/{id}', 'GET /api/v1/processes/{id}/revisions', 'POST /api/v1/processes/{id}/enable'],
  ...[
    'POST /api/v1/processes/{id}/disable',
    'POST /api/v1/processes/{id}/run',
    'POST /api/v1/runs',
    'GET /api/v1/runs',
  ],
  ...['GET /api/v1/runs/{id}', 'GET /api/v1/runs/{id}/events', 'GET /api/v1/runs/{id}/output'],
  ...['POST /api/v1/runs/{id}/cancel', 'POST /api/v1/runs/{id}/retry', 'GET /api/v1/events', 'GET /api/v1/verify'],
  ...['GET /api/v1/me', 'POST /api/v1/me/password', 'POST /api/v1/auth/token', 'GET /api/v1/health'],
  ...[
    'POST /api/v1/jobs',
    'GET /api/v1/jobs',
    'GET /api/v1/jobs/stats',
    'GET /api/v1/jobs/{id}',
    'DELETE /api/v1/jobs/{id}',
  ],
  ...['GET /api/v1/jobs/{id}/logs', 'POST /api/v1/jobs/{id}/cancel', 'GET /api/v1/openapi.json'],
];
