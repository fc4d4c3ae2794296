import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { z } from 'zod';
import { adminOf, Client, eventually, sharedStack, type Answer, type Stack } from '#testing';
import { viewerProcess } from './viewer.shapes.js';

type Process = z.infer<typeof viewerProcess>;

interface Defined {
  id: string;
  number: number;
  revision: number;
}

const day = 24 * 3_600_000;
let stack: Stack;
let nobody: Client;
let admin: Client;

beforeAll(async () => {
  stack = await sharedStack(globalThis.topology);
  nobody = new Client(stack.url);
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const credentials = () => ({ username: 'admin', password: stack.adminPassword });

/** `connect.sid=...`, as a client sends it back. */
const cookieOf = ({ headers }: Answer<unknown>): string => headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';

async function login(): Promise<{ viewer: Client; cookie: string; token: string }> {
  const answer = await nobody.post<{ access_token: string }>('/api/auth/login', credentials());
  expect(answer.status).toBe(200);
  const cookie = cookieOf(answer);
  return { viewer: nobody.with({ cookie }), cookie, token: answer.body.access_token };
}

async function define(settings: object): Promise<Defined> {
  const { status, body, text } = await admin.post<Defined>('/api/v1/processes', {
    action: { kind: 'noop' },
    ...settings,
  });
  if (status !== 201) throw new Error(`${status} ${text}`);
  return body;
}

/** Runs it and waits for the status. */
async function run({ id }: Defined, until = 'succeeded'): Promise<{ id: string }> {
  const { body } = await admin.post<{ id: string }>(`/api/v1/processes/${id}/run`);
  await eventually(`the run to be ${until}`, async () => {
    const { body: now } = await admin.get<{ status: string }>(`/api/v1/runs/${body.id}`);
    return now.status === until;
  });
  return body;
}

async function search(client: Client, q: string): Promise<Process[]> {
  const { status, body } = await client.get<Process[]>(`/api/processes?q=${encodeURIComponent(q)}`);
  expect(status).toBe(200);
  return body;
}

async function only(q: string): Promise<Process> {
  const found = await search(admin, q);
  expect(found).toHaveLength(1);
  return found[0]!;
}

describe('Authentication Flow', () => {
  test('All API endpoints are protected and require a valid session', async () => {
    for (const path of ['/api/processes', '/api/processes?q=x', '/api/processes/1/runs', '/api/processes/nine/runs']) {
      const { status, body, headers } = await nobody.get(path);
      expect([path, status, body]).toEqual([path, 401, { error: 'Unauthorized' }]);
      expect(headers.get('www-authenticate')).toBe('Bearer');
      expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    }
    for (const cookie of ['connect.sid=', 'connect.sid=s%3Anonsense', 'connect.sid=eyJhbGciOiJub25lIn0.e30.']) {
      const { status, body } = await nobody.get('/api/processes', { cookie });
      expect([cookie, status, body]).toEqual([cookie, 401, { error: 'Unauthorized' }]);
    }
  });
});

describe('1. Login', () => {
  test('200 OK: login successful, with the superset body and a session cookie', async () => {
    const before = Date.now();
    const answer = await nobody.post('/api/auth/login', credentials());
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      message: 'Login successful',
      access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/) as string,
      token_type: 'bearer',
      user: {
        id: 1,
        username: 'admin',
        email: 'admin@example.com',
        role: 'admin',
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      },
    });
    const cookies = answer.headers.getSetCookie();
    expect(cookies).toHaveLength(1);
    const [pair, ...attributes] = cookies[0]!.split('; ');
    expect(pair).toMatch(/^connect\.sid=[^;]+$/);
    const expires = attributes.find((attribute) => attribute.startsWith('Expires='))!;
    expect(attributes.filter((attribute) => attribute !== expires).sort()).toEqual([
      'HttpOnly',
      'Path=/',
      'SameSite=Lax',
    ]);
    const life = Date.parse(expires.slice('Expires='.length)) - before;
    expect(Math.abs(life - day)).toBeLessThan(60_000);
  });

  test('the cookie must be included in all subsequent requests; its 24 h are absolute, using it does not renew it', async () => {
    const { viewer } = await login();
    for (const path of ['/api/processes', '/api/auth/me']) {
      const { status, headers } = await viewer.get(path);
      expect([path, status, headers.getSetCookie()]).toEqual([path, 200, []]);
    }
  });

  test('a session that has expired is refused, whatever its token says', async () => {
    const { viewer, token } = await login();
    const { sid } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sid: string };
    const database = new pg.Client({ connectionString: stack.databaseUrl });
    await database.connect();
    await database.query("update session set expires_at = now() - interval '1 second' where id = $1", [sid]);
    await database.end();
    expect((await viewer.get('/api/processes')).status).toBe(401);
  });

  test('a form is taken as well as JSON, an e-mail as well as the name', async () => {
    const form = await nobody.post<{ message: string }>('/api/auth/login', new URLSearchParams(credentials()));
    expect([form.status, form.body.message]).toEqual([200, 'Login successful']);
    const formCookie = cookieOf(form);
    expect((await nobody.get('/api/processes', { cookie: formCookie })).status).toBe(200);
    const email = await nobody.post('/api/auth/login', { ...credentials(), username: 'Admin@Example.COM' });
    expect(email.status).toBe(200);
  });

  test('401 Unauthorized: invalid credentials, the same for an unknown name and a wrong password, and no cookie', async () => {
    const wrong = [
      { username: 'admin', password: 'admin123' },
      { username: 'nobody', password: stack.adminPassword },
      { username: 'admin', password: 'x'.repeat(4_000) },
    ];
    for (const attempt of wrong) {
      for (const body of [attempt, new URLSearchParams(attempt)]) {
        const answer = await nobody.post('/api/auth/login', body);
        expect([answer.status, answer.body]).toEqual([401, { error: 'Invalid credentials' }]);
        expect(answer.headers.getSetCookie()).toEqual([]);
      }
    }
  });

  test('a missing field is 400, named in the error', async () => {
    const faulty: [unknown, RegExp][] = [
      [{ username: 'admin' }, /password/],
      [{ password: 'x' }, /username/],
      [{}, /username/],
      [undefined, /username/],
      [new URLSearchParams({ username: 'admin' }), /password/],
      [{ username: '', password: '' }, /username/],
      [{ username: 1, password: 'x' }, /username/],
    ];
    for (const [body, words] of faulty) {
      const answer = await nobody.post<{ error: string }>('/api/auth/login', body);
      expect(answer.status).toBe(400);
      expect(answer.body).toEqual({ error: expect.stringMatching(words) as string });
    }
  });
});

describe('GET /api/auth/me and POST /api/auth/logout', () => {
  test('me answers the name, by cookie and by token; 401 {"error":"Not logged in"} otherwise', async () => {
    const { viewer, token } = await login();
    const mine = [
      await viewer.get('/api/auth/me'),
      await nobody.get('/api/auth/me', { authorization: `Bearer ${token}` }),
    ];
    for (const { status, body } of mine) expect([status, body]).toEqual([200, { username: 'admin' }]);
    for (const cookie of ['', 'connect.sid=nonsense']) {
      const { status, body } = await nobody.get('/api/auth/me', { cookie });
      expect([status, body]).toEqual([401, { error: 'Not logged in' }]);
    }
  });

  test('logout ends the session with its token, at once, and no other session', async () => {
    const other = await login();
    const { viewer, token } = await login();
    const bearer = nobody.with({ authorization: `Bearer ${token}` });
    expect((await viewer.get('/api/processes')).status).toBe(200);
    expect((await bearer.get('/api/processes')).status).toBe(200);
    const answer = await viewer.post('/api/auth/logout');
    expect([answer.status, answer.body]).toEqual([200, { message: 'Logged out' }]);
    expect(answer.headers.getSetCookie().join('\n')).toMatch(/connect\.sid=;.*Expires=Thu, 01 Jan 1970/);
    for (const client of [viewer, bearer]) {
      for (const path of ['/api/processes', '/api/auth/me', '/api/v1/me', '/api/v1/jobs']) {
        expect([path, (await client.get(path)).status]).toEqual([path, 401]);
      }
    }
    expect((await other.viewer.get('/api/processes')).status).toBe(200);
  });

  test('logout by the token ends the cookie too', async () => {
    const { viewer, token } = await login();
    expect((await nobody.post('/api/auth/logout', undefined, { authorization: `Bearer ${token}` })).status).toBe(200);
    expect((await viewer.get('/api/processes')).status).toBe(401);
  });

  test('logout without a session, or with a dead one, is 200', async () => {
    for (const cookie of ['', 'connect.sid=nonsense']) {
      const { status, body } = await nobody.post('/api/auth/logout', undefined, { cookie });
      expect([status, body]).toEqual([200, { message: 'Logged out' }]);
    }
  });
});

describe('2. Fetch Process Details (Search by Name)', () => {
  test('GET /api/processes?q=Account%20Workflow%20Evaluation answers every field of the example', async () => {
    // Some twelve hours from now, so that no border lies between question and answer.
    const next = new Date(Math.ceil(Date.now() / 3_600_000) * 3_600_000 + 12 * 3_600_000);
    const cron = `0 ${next.getUTCHours()} * * *`;
    const process = await define({
      name: 'Account Workflow Evaluation',
      description: 'Evaluates accounts and closes them.',
      triggers: [{ cron }],
    });
    await run(process);
    const { status, body, headers } = await admin.get<Process[]>('/api/processes?q=Account%20Workflow%20Evaluation');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(body).toEqual([
      {
        id: process.number,
        name: 'Account Workflow Evaluation',
        description: 'Evaluates accounts and closes them.',
        last_run_at: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/) as string,
        last_run_status: 'Completed',
        next_scheduled_run: next.toISOString().slice(0, 19).replace('T', ' '),
        schedule: 'Enabled',
        cron_expr: cron,
      },
    ]);
    expect(Number.isInteger(body[0]!.id)).toBe(true);
    expect(Math.abs(Date.parse(`${body[0]!.last_run_at!.replace(' ', 'T')}Z`) - Date.now())).toBeLessThan(60_000);
  });

  test('q is a substring of name or description, without case; no hit is an empty array', async () => {
    await define({ name: 'Zebra Ümlaut CRUNCHING', description: null });
    await define({ name: 'Second', description: 'Feeds the zebra crunching' });
    const names = async (q: string) => (await search(admin, q)).map(({ name }) => name);
    expect(await names('zebra')).toEqual(['Zebra Ümlaut CRUNCHING', 'Second']);
    expect(await names('EBRA CRUNCH')).toEqual(['Second']);
    expect(await names('üMLAUT cr')).toEqual(['Zebra Ümlaut CRUNCHING']);
    expect(await names('no such thing')).toEqual([]);
    const { text } = await admin.get('/api/processes?q=no%20such%20thing');
    expect(text).toBe('[]');
  });

  test('%, _ and \\ are literal in q, and quotes are text', async () => {
    const odd = ['lit 100%', 'lit 100 percent', 'lit a_b', 'lit axb', 'lit c\\d', "lit it's"];
    for (const name of odd) await define({ name });
    const hits: [string, string[]][] = [
      ['lit 100%', ['lit 100%']],
      ['lit%', []],
      ['lit a_', ['lit a_b']],
      ['lit c\\', ['lit c\\d']],
      ["it's", ["lit it's"]],
      ["' or 1=1 --", []],
    ];
    for (const [q, names] of hits) expect([q, (await search(admin, q)).map(({ name }) => name)]).toEqual([q, names]);
  });

  test('a bare array, id ascending, without paging: more than a page of processes', async () => {
    const names = Array.from({ length: 230 }, (_, i) => `bulk ${String(i).padStart(3, '0')}`);
    for (let i = 0; i < names.length; i += 46) {
      await Promise.all(names.slice(i, i + 46).map((name) => define({ name, description: 'one of many' })));
    }
    const found = await search(admin, 'one of many');
    expect(found.map(({ name }) => name).sort()).toEqual(names);
    expect(found.map(({ id }) => id)).toEqual(found.map(({ id }) => id).sort((a, b) => a - b));
    const all = (await admin.get<Process[]>('/api/processes')).body;
    expect(all.length).toBeGreaterThanOrEqual(found.length);
    expect(all.map(({ id }) => id)).toEqual(all.map(({ id }) => id).sort((a, b) => a - b));
    expect(z.array(z.strictObject(viewerProcess.shape)).safeParse(all).error).toBeUndefined();
    expect((await admin.get<Process[]>('/api/processes?q=')).body).toHaveLength(all.length);
  });

  test('last_run_status: Not available, Executing, Completed, Failed; last_run_at is the newest started run', async () => {
    const shell = 'test ! -e "$MARK" || { rm "$MARK"; sleep 30; }; exit 3';
    const file = `${stack.dataDir}/status-mark`;
    const action = (line: string) => ({ kind: 'command', shell: line, env: { MARK: file } });
    const process = await define({ name: 'status words', action: action('true') });
    const never = await only('status words');
    expect([never.last_run_status, never.last_run_at]).toEqual(['Not available', null]);
    await run(process);
    expect((await only('status words')).last_run_status).toBe('Completed');
    const revised = await admin.call<Defined>('PATCH', `/api/v1/processes/${process.id}`, {
      revision: 1,
      action: action(`touch "$MARK"; ${shell}`),
    });
    expect(revised.status).toBe(200);
    const first = (await only('status words')).last_run_at!;
    await sleep(1_100);
    const running = await run(process, 'running');
    const executing = await only('status words');
    expect(executing.last_run_status).toBe('Executing');
    expect(executing.last_run_at! > first).toBe(true);
    await admin.post(`/api/v1/runs/${running.id}/cancel`);
    const cancelled = await eventually('the cancelled run', async () => {
      const now = await only('status words');
      return now.last_run_status !== 'Executing' && now;
    });
    expect(cancelled.last_run_status).toBe('Failed');
    await admin.call('PATCH', `/api/v1/processes/${process.id}`, { revision: 2, action: action('exit 3') });
    await run(process, 'failed');
    expect((await only('status words')).last_run_status).toBe('Failed');
  });

  test('schedule and cron_expr: a disabled process keeps its expression and has no next run, a manual one is Disabled', async () => {
    const process = await define({
      name: 'schedule words',
      triggers: [{ cron: '*/5 * * * *', zone: 'Europe/Vienna' }],
    });
    const enabled = await only('schedule words');
    expect(enabled).toMatchObject({ schedule: 'Enabled', cron_expr: '*/5 * * * *' });
    expect(enabled.next_scheduled_run).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d[05]:00$/);
    await admin.post(`/api/v1/processes/${process.id}/disable`);
    expect(await only('schedule words')).toMatchObject({
      schedule: 'Disabled',
      cron_expr: '*/5 * * * *',
      next_scheduled_run: null,
    });
    await admin.post(`/api/v1/processes/${process.id}/enable`);
    expect(await only('schedule words')).toEqual({
      ...enabled,
      next_scheduled_run: expect.stringMatching(/:00$/) as string,
    });
    await define({ name: 'manual words' });
    const manual = { schedule: 'Disabled', cron_expr: '', next_scheduled_run: null, description: '' };
    expect(await only('manual words')).toMatchObject(manual);
  });

  test('dates are UTC, whatever the zone of the schedule', async () => {
    await define({ name: 'in kolkata', triggers: [{ cron: '30 12 * * *', zone: 'Asia/Kolkata' }] });
    expect((await only('in kolkata')).next_scheduled_run).toMatch(/ 07:00:00$/);
  });

  test('retired processes are not listed', async () => {
    const process = await define({ name: 'to be retired' });
    expect(await search(admin, 'to be retired')).toHaveLength(1);
    expect((await admin.call('DELETE', `/api/v1/processes/${process.id}`)).status).toBe(204);
    expect(await search(admin, 'to be retired')).toEqual([]);
  });

  test('both forms of a path work, without a redirect', async () => {
    const { number } = await define({ name: 'slashes' });
    for (const path of ['/api/processes', `/api/processes/${number}/runs`, '/api/auth/me']) {
      const [bare, slashed] = [await admin.get(path), await admin.get(`${path}/`)];
      expect([path, bare.status, slashed.status]).toEqual([path, 200, 200]);
      expect(slashed.body).toEqual(bare.body);
    }
    expect((await admin.get(`/api/processes/?q=slashes`)).body).toHaveLength(1);
    expect((await nobody.post('/api/auth/login/', credentials())).status).toBe(200);
    expect((await nobody.post('/api/auth/logout/')).status).toBe(200);
  });
});

describe('Integration Workflow Example', () => {
  test('login, search, check last_run_status, extract the id, analyze the runs', async () => {
    const process = await define({
      name: 'MyBatchProcess',
      action: { kind: 'command', shell: 'echo \'##runledger {"ops": 7}\'; echo broken >&2; exit 2' },
    });
    await run(process, 'failed');
    await run(process, 'failed');
    const answer = await nobody.post('/api/auth/login', { username: 'admin', password: stack.adminPassword });
    const cookie = cookieOf(answer);
    expect(cookie).toMatch(/^connect\.sid=./);
    const [found] = (await nobody.get<Process[]>('/api/processes?q=MyBatchProcess', { cookie })).body;
    expect(found!.last_run_status).toBe('Failed');
    const path = `/api/processes/${found!.id}/runs`;
    const { body: runs } = await nobody.get<Record<string, unknown>[]>(path, { cookie });
    expect(runs).toHaveLength(2);
    for (const each of runs) {
      expect(each).toMatchObject({ process_id: found!.id, ops: 7, failed: 1 });
      expect(each.failure_reason).toBe(runs[0]!.failure_reason);
    }
    expect(runs[0]!.failure_reason).toEqual(expect.stringContaining('2'));
  });
});
