import { randomUUID } from 'node:crypto';
import { adminOf, eventually, sendRaw, sharedStack, type Client, type Stack } from '#testing';
import { faults, noop, targetsFor, type Target } from './bad-input.harness.js';
import { expectRefusal, headOf, type SurfaceName } from './refused.harness.js';

let stack: Stack;
let admin: Client;
let process: { id: string };
let task: { id: string };
let head: string;

beforeAll(async () => {
  stack = await sharedStack(globalThis.topology);
  admin = await adminOf(stack);
  const { body } = await admin.post<{ id: string }>('/api/v1/processes', { name: 'p', action: { kind: 'noop' } });
  process = body;
  const made = await admin.post<{ task: { id: string } }>('/api/tasks', { name: 't', command: 'true' });
  task = made.body.task;
  head = await headOf(admin);
}, 90_000);
afterEach(async () => expect(await headOf(admin)).toBe(head));
afterAll(() => stack.stop(), 60_000);

const { targets, taskChange } = targetsFor({
  password: () => stack.adminPassword,
  process: () => process.id,
  task: () => task.id,
});

const each = Object.entries(targets);
const send = ({ method, path }: Target, body?: unknown, headers?: Record<string, string>) =>
  admin.call(method, path(), body, headers);

describe('bad input is refused in the words of the surface, and nothing is written', () => {
  test.each(each)('%s: wrong types, missing and unknown fields', async (name, target) => {
    for (const fault of faults[name]!) {
      expectRefusal(target.surface, target.malformed, await send(target, { ...target.good(), ...fault }), fault);
    }
  });

  test('tasks: change a task: wrong types and values', async () => {
    for (const fault of faults['tasks: change a task']!) {
      expectRefusal('tasks', 422, await send(taskChange, fault), fault);
    }
    expectRefusal('tasks', 422, await send(taskChange, '{'), 'malformed JSON');
    expectRefusal('tasks', 422, await send(taskChange, '[]'), 'a list');
  });

  test.each(each)('%s: malformed JSON, an empty body, anything but an object', async (_name, target) => {
    const good = JSON.stringify(target.good());
    const texts = ['{', good.slice(0, -1), `${good}}`, `${good},`, "{'a': 1}", '{"a": undefined}', 'NaN', 'no json'];
    for (const text of [...texts, '', ' ', '[]', '[{}]', '"text"', '7', 'null', 'true', '{}']) {
      expectRefusal(target.surface, target.malformed, await send(target, text), text);
    }
    expectRefusal(target.surface, target.malformed, await send(target), 'no body');
  });

  test.each(each)('%s: NUL characters in values and names', async (_name, target) => {
    const good = target.good();
    for (const key of Object.keys(good).filter((name) => typeof good[name] === 'string')) {
      const answer = await send(target, { ...good, [key]: `${String(good[key])}\u0000` });
      expectRefusal(target.surface, target.malformed, answer, key);
    }
    expectRefusal(target.surface, target.malformed, await send(target, { ...good, 'x\u0000': 1 }), 'a name');
    const deep = { ...good, parameters: { a: [{ b: '\u0000' }] } };
    expectRefusal(target.surface, target.malformed, await send(target, deep), 'deep inside');
  });

  test.each(each)('%s: a body over its limit is 413', async (_name, target) => {
    const { most = 1_048_576, method, path, surface } = target;
    const headers = [
      ...[`${method} ${path()} HTTP/1.1`, `Host: ${new URL(stack.url).host}`, 'Connection: close'],
      ...[`Authorization: ${admin.header('authorization')}`, 'Content-Type: application/json'],
      `Content-Length: ${most + 1}`,
    ];
    const raw = await sendRaw(stack.url, `${headers.join('\r\n')}\r\n\r\n{"name":`);
    expectRefusal(surface, 413, { ...raw, headers: new Headers(raw.headers), body: JSON.parse(raw.text) as unknown });
    // What a client sends in full has to fit into the buffers between.
    if (most > 1_048_576) return;
    const body = JSON.stringify({ ...target.good(), padding: 'x'.repeat(most) });
    expectRefusal(surface, 413, await send(target, body));
  });

  test.each(each)('%s: a content type that is not taken is 415', async (_name, target) => {
    const good = JSON.stringify(target.good());
    const types = ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/octet-stream', 'x'];
    for (const type of types) {
      expectRefusal(target.surface, 415, await send(target, good, { 'content-type': type }), type);
    }
    if (target.surface === 'viewer') return;
    expectRefusal(target.surface, 415, await send(target, new URLSearchParams({ name: 'x' })), 'a form');
  });

  test.each(each)('%s: a depth bomb', async (_name, target) => {
    for (const depth of [65, 5_000, 400_000]) {
      const arrays = `{"name":${'['.repeat(depth)}${']'.repeat(depth)}}`;
      expectRefusal(target.surface, target.malformed, await send(target, arrays), depth);
      expectRefusal(target.surface, target.malformed, await send(target, '['.repeat(depth)), depth);
    }
    const objects = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;
    expectRefusal(target.surface, target.malformed, await send(target, objects), 'objects');
  });

  test('native: __proto__ and constructor are unknown fields like any other', async () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      const text = `{"name":"p","action":{"kind":"noop"},"${name}":{"admin":true}}`;
      expectRefusal('native', 422, await admin.post('/api/v1/processes', text), name);
    }
  });

  test('native: the problem document names every place that is wrong', async () => {
    const faulty = { name: '', action: { kind: 'command', command: [7] }, typo: 1, policies: { timeout: 'x' } };
    const { body } = await admin.post<{ errors: { path: string }[] }>('/api/v1/processes', faulty);
    const places = body.errors.map(({ path }) => path);
    expect(places).toEqual(expect.arrayContaining(['name', 'action.command.0', 'policies.timeout']));
  });

  test('jobs: a value under the name of a secret is masked in the answer', async () => {
    const { status, text } = await admin.post('/api/v1/jobs', { command: ['x'], env: { API_KEY: 'hush\ud800' } });
    expect(status).toBe(422);
    expect(text).not.toContain('hush');
  });
});

describe('a bad schedule is refused when it is saved, with the reason', () => {
  const schedules: [string, object, RegExp][] = [
    ['a minute that there is not', { cron: '61 * * * *' }, /61|minute/i],
    ['a day that never comes', { cron: '0 0 30 2 *' }, /never/i],
    ['an unknown zone', { cron: '0 2 * * *', zone: 'Mars/Olympus' }, /zone/i],
    ['300 characters', { cron: `${'0,'.repeat(146)}0 * * * *` }, /./],
    ['four fields', { cron: '* * * *' }, /field/i],
    ['seven fields', { cron: '* * * * * * *' }, /field/i],
    ['nothing', { cron: '' }, /./],
    ['words', { cron: 'every day at noon' }, /./],
    ['an unknown nickname', { cron: '@fortnightly' }, /./],
    ['a step of nothing', { cron: '*/0 * * * *' }, /./],
    ['half a range', { cron: '0 0 * * 5-' }, /./],
  ];
  test.each(schedules)('%s', async (_name, trigger, reason) => {
    const body = { name: 'p', action: noop, triggers: [trigger] };
    const path = `/api/v1/processes/${process.id}`;
    const answers = [
      await admin.post<{ detail: string; errors: { path: string }[] }>('/api/v1/processes', body),
      await admin.call<{ detail: string; errors: { path: string }[] }>('PATCH', path, {
        revision: 1,
        triggers: body.triggers,
      }),
    ];
    for (const answer of answers) {
      expectRefusal('native', 422, answer, trigger);
      expect(answer.body.detail).toMatch(reason);
      expect(answer.body.errors[0]?.path).toMatch(/^triggers\.0\.(cron|zone)$/);
    }
  });
});

describe('what there is not', () => {
  test('unknown ids are 404, malformed ones too', async () => {
    for (const id of [randomUUID(), 'nonsense', '7', '%20', "'--", '..%2F..%2Fetc', 'x'.repeat(150)]) {
      const native: [string, string, unknown?][] = [
        ...(['', '/revisions'].map((rest) => ['GET', `/api/v1/processes/${id}${rest}`]) as [string, string][]),
        ...(['', '/events', '/output'].map((rest) => ['GET', `/api/v1/runs/${id}${rest}`]) as [string, string][]),
        ['PATCH', `/api/v1/processes/${id}`, { revision: 1, name: 'x' }],
        ['DELETE', `/api/v1/processes/${id}`],
        ...(['enable', 'disable', 'run'].map((verb) => ['POST', `/api/v1/processes/${id}/${verb}`]) as [
          string,
          string,
        ][]),
        ['DELETE', `/api/v1/webhooks/${id}`],
        ['GET', `/api/v1/webhooks/${id}/deliveries`],
        ['POST', `/api/v1/webhooks/${id}/replay`, { from: '1' }],
        ...(['cancel', 'retry'].map((verb) => ['POST', `/api/v1/runs/${id}/${verb}`]) as [string, string][]),
      ];
      for (const [method, path, body] of native) {
        expectRefusal('native', 404, await admin.call(method, path, body), `${method} ${path}`);
      }
      for (const [method, rest] of [
        ['GET', ''],
        ['GET', '/logs'],
        ['POST', '/cancel'],
        ['DELETE', ''],
      ] as const) {
        const answer = await admin.call(method, `/api/v1/jobs/${id}${rest}`);
        expectRefusal('jobs', 404, answer, `${method} ${id}`);
        expect(answer.body).toEqual({ detail: 'Job not found' });
      }
      for (const [method, rest] of [
        ...([
          ['GET', ''],
          ['GET', '/executions'],
          ['PUT', ''],
          ['PATCH', ''],
          ['DELETE', ''],
        ] as const),
        ['POST', '/trigger'],
      ] as const) {
        const answer = await admin.call(method, `/api/tasks/${id}${rest}`, /P(UT|ATCH)/.test(method) ? {} : undefined);
        expectRefusal('tasks', 404, answer, `${method} ${id}`);
      }
    }
  });

  test('an unknown path answers in the words of whoever owns the place', async () => {
    const paths: [string, SurfaceName][] = [
      ...(['/nope', '/nope/', '/favicon.ico', '/.env', '/apix'].map((path) => [path, 'root']) as [string, 'root'][]),
      ...(['/api/x', '/api', '/api/x/y/z'].map((path) => [path, 'api']) as [string, 'api'][]),
      ...(['/api/v1/x', '/api/v1', '/api/v1/runs/a/b/c'].map((path) => [path, 'native']) as [string, 'native'][]),
      ...(['/api/auth/x', '/api/processes/1/2/3'].map((path) => [path, 'viewer']) as [string, 'viewer'][]),
      ...(['/api/v1/jobs/1/2/3', '/api/v1/auth/x'].map((path) => [path, 'jobs']) as [string, 'jobs'][]),
      ...(['/api/tasks/1/2/3', '/api/logs/x', '/health/x'].map((path) => [path, 'tasks']) as [string, 'tasks'][]),
    ];
    for (const [path, surface] of paths) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        expectRefusal(surface, 404, await admin.call(method, path), `${method} ${path}`);
      }
    }
  });

  test('a method that a path does not have is 405, with those that it has in Allow', async () => {
    const wrong: [string, string, SurfaceName, string][] = [
      ['PUT', '/api/processes', 'viewer', 'GET'],
      ['POST', '/api/processes/1/runs', 'viewer', 'GET'],
      ['GET', '/api/auth/login', 'viewer', 'POST'],
      ['DELETE', '/api/v1/processes', 'native', 'GET, POST'],
      ['PUT', '/api/v1/processes/1/', 'native', 'GET, PATCH, DELETE'],
      ['PATCH', '/api/v1/jobs', 'jobs', 'GET, POST'],
      ['DELETE', '/api/tasks', 'tasks', 'GET, POST'],
      ['POST', '/api/tasks/1', 'tasks', 'GET, PUT, PATCH, DELETE'],
      ['GET', '/execute-task', 'tasks', 'POST'],
      ['POST', '/health', 'tasks', 'GET'],
      ['PROPFIND', '/api/v1/runs', 'native', 'GET, POST'],
    ];
    for (const [method, path, surface, allow] of wrong) {
      const answer = await admin.call(method, path, method === 'GET' ? undefined : {});
      expectRefusal(surface, 405, answer, `${method} ${path}`);
      expect(answer.headers.get('allow')).toBe(allow);
    }
  });
});

describe('what cannot be started', () => {
  const cases: [string, { command: string[]; dir?: string }, RegExp][] = [
    ['a command that does not exist', { command: ['/no/such/program-at-all'] }, /program-at-all/],
    ['a bare name that is not on the PATH', { command: ['no-such-program-at-all'] }, /no-such-program-at-all/],
    ['a missing working directory', { command: ['true'], dir: '/no/such/directory-at-all' }, /directory-at-all/],
    ['a command that may not be executed', { command: ['/etc/passwd'] }, /passwd|permission/i],
  ];
  test.each(cases)('%s: a failed run saying so', async (_name, { command, dir }, reason) => {
    const action = { kind: 'command', command, ...(dir ? { cwd: dir } : {}) };
    const job = { command, ...(dir ? { working_dir: dir } : {}) };
    const run = await admin.post<{ id: string }>('/api/v1/runs', { action });
    const submitted = await admin.post<{ id: string }>('/api/v1/jobs', job);
    expect([run.status, submitted.status]).toEqual([202, 202]);
    const ended = await eventually('both to fail', async () => {
      const native = await admin.get<{ status: string; reason: string }>(`/api/v1/runs/${run.body.id}`);
      const jobs = await admin.get<{ status: string; error: string }>(`/api/v1/jobs/${submitted.body.id}`);
      return native.body.status === 'failed' && jobs.body.status === 'failed' && [native.body.reason, jobs.body.error];
    });
    for (const text of ended) expect(text).toMatch(reason);
    head = await headOf(admin);
  });
});

describe('bad queries and requests', () => {
  test('a NUL in the address, a limit or cursor that is none', async () => {
    const native = [
      'limit=0',
      'limit=1001',
      'limit=x',
      'limit=1e9',
      'cursor=x',
      'after=x',
      'after=-1',
      'limit=1&limit=2',
    ];
    for (const path of ['/api/v1/processes', '/api/v1/runs', '/api/v1/events', '/api/v1/webhooks']) {
      for (const query of [...native, 'q=%00', 'server=%00', 'stream=%00', 'actor=%00']) {
        expectRefusal('native', 422, await admin.get(`${path}?${query}`), `${path} ${query}`);
      }
    }
    for (const query of ['status=x', 'process=x', 'from=yesterday', 'batch=1', 'kind=%00']) {
      expectRefusal('native', 422, await admin.get(`/api/v1/runs?${query}`), query);
    }
    for (const query of ['limit=0', 'cursor=x&limit=1', 'status=x', 'batch_id=%00', 'cursor=%00&limit=1']) {
      expectRefusal('jobs', 422, await admin.get(`/api/v1/jobs?${query}`), query);
    }
    for (const query of ['q=%00', 'q=a&q=b', `q=${'x'.repeat(1_001)}`]) {
      expectRefusal('viewer', 400, await admin.get(`/api/processes?${query}`), query);
    }
  });

  test('a position or a number that no column could hold', async () => {
    const huge = ['/api/v1/events?after=999999999999999999', '/api/v1/runs?cursor=999999999999999999'];
    for (const path of huge) expect([path, (await admin.get(path)).status]).toEqual([path, 200]);
    expectRefusal('native', 422, await admin.get('/api/v1/events?after=9999999999999999999'));
  });

  test('an Idempotency-Key that is none', async () => {
    for (const key of ['x'.repeat(256), 'two words']) {
      const answer = await admin.post('/api/v1/runs', { action: noop }, { 'idempotency-key': key });
      expectRefusal('native', 422, answer, key);
    }
  });

  test('broken percent-encoding', async () => {
    const paths: [string, SurfaceName, number][] = [
      ['/api/processes/%ZZ/runs', 'viewer', 400],
      ['/api/v1/runs/%E0%A4%A', 'native', 400],
      ['/api/v1/jobs/%', 'jobs', 400],
      ['/%', 'root', 400],
    ];
    for (const [path, surface, status] of paths) expectRefusal(surface, status, await admin.get(path), path);
  });

  test('a header or an address longer than the server reads, and what is no HTTP', async () => {
    const { host } = new URL(stack.url);
    const request = (line: string, ...headers: string[]) =>
      [line, `Host: ${host}`, 'Connection: close', ...headers, '', ''].join('\r\n');
    const long = 'x'.repeat(20_000);
    const requests: [string, SurfaceName, number][] = [
      [request('GET /api/processes HTTP/1.1', `X-Long: ${long}`), 'viewer', 431],
      [request('GET /api/v1/runs HTTP/1.1', `X-Long: ${long}`), 'native', 431],
      [request(`GET /api/v1/jobs?${long} HTTP/1.1`), 'jobs', 431],
      [request(`GET /${long} HTTP/1.1`), 'root', 431],
      [request('FETCH /api/v1/runs HTTP/1.1'), 'native', 400],
      [request('POST /api/auth/login HTTP/1.1', 'Content-Length: x'), 'viewer', 400],
      ['no HTTP at all\r\n\r\n', 'root', 400],
    ];
    for (const [text, surface, status] of requests) {
      const { headers, ...answer } = await sendRaw(stack.url, text);
      const body = JSON.parse(answer.text) as unknown;
      expectRefusal(surface, status, { ...answer, body, headers: new Headers(headers) }, text.slice(0, 60));
    }
  });
});
