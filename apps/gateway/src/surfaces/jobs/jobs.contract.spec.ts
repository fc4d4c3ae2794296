import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, Client, eventually, sharedStack, startStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';

interface Job {
  id: string;
  name: string;
  status: string;
  env: Record<string, string>;
  [field: string]: unknown;
}
interface Jobs {
  items: Job[];
  total: number;
  next?: string | null;
}
interface Detail {
  detail: string;
}
interface Invalid {
  detail: { type: string; loc: (string | number)[]; msg: string; input: unknown }[];
}

let stack: Stack;
let admin: Client;
let other: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  other = await newcomer(stack, 'olga', 'operator');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const anyone = () => new Client(stack.url);
const token = (body: unknown) =>
  anyone().post<{ access_token: string; token_type: string }>('/api/v1/auth/token', body);
const missing = '01890000-0000-7000-8000-000000000000';
const sh = (line: string) => ['sh', '-c', line];

async function submit(body: object, by = admin): Promise<Job> {
  const { status, body: job, text } = await by.post<Job>('/api/v1/jobs', body);
  if (status !== 202) throw new Error(`${status}: ${text}`);
  return job;
}

const over = (id: string, by = admin) =>
  eventually('the job to end', async () => {
    const { body } = await by.get<Job>(`/api/v1/jobs/${id}`);
    return !['pending', 'running'].includes(body.status) && body;
  });

const running = (id: string) =>
  eventually('the job to run', async () => (await admin.get<Job>(`/api/v1/jobs/${id}`)).body.status === 'running');

describe('Authentication', () => {
  test('the form gives a bearer token, by e-mail or name', async () => {
    for (const username of ['admin@example.com', 'ADMIN@example.com', 'admin']) {
      const answer = await token(new URLSearchParams({ username, password: stack.adminPassword }));
      expect([answer.status, answer.body]).toEqual([
        200,
        { access_token: expect.stringMatching(/^ey/), token_type: 'bearer' },
      ]);
    }
  });

  test('JSON is 422, as is a form without a field', async () => {
    const json = await token({ username: 'admin@example.com', password: stack.adminPassword });
    expect(json.status).toBe(422);
    expect(json.body).toEqual({
      detail: [expect.objectContaining({ loc: expect.any(Array), msg: expect.any(String) })],
    });
    const { status, body } = await anyone().post<Invalid>(
      '/api/v1/auth/token',
      new URLSearchParams({ username: 'admin' }),
    );
    expect([status, body.detail[0]!.loc]).toEqual([422, ['body', 'password']]);
  });

  test('a wrong password and an unknown name are one answer', async () => {
    for (const username of ['admin@example.com', 'nobody@example.com']) {
      const { status, body, headers } = await token(new URLSearchParams({ username, password: 'wrong' }));
      expect([status, body, headers.get('www-authenticate')]).toEqual([
        401,
        { detail: 'Invalid credentials' },
        'Bearer',
      ]);
    }
  });

  test.each(['/jobs', '/jobs/stats', `/jobs/${missing}`, `/jobs/${missing}/logs`])(
    'GET %s without a token is 401',
    async (place) => {
      for (const client of [anyone(), anyone().with({ authorization: 'Bearer nonsense' })]) {
        const { status, headers, body } = await client.get<Detail>(`/api/v1${place}`);
        expect([status, headers.get('www-authenticate'), typeof body.detail]).toEqual([401, 'Bearer', 'string']);
      }
    },
  );
});

test('Health: public, and says how database and bus are', async () => {
  const { status, body } = await anyone().get('/api/v1/health');
  expect([status, body]).toEqual([200, { status: 'ok', redis: 'ok', database: 'ok' }]);
});

describe('Example Submission', () => {
  const example = {
    name: 'nightly-linux',
    command: ['make', 'test'],
    working_dir: '/workspace/project',
    env: { BUILD_MODE: 'release' },
    payload: { note: 'Nightly smoke' },
  };

  test('202 with the job', async () => {
    const { status, body, text } = await admin.post<Job>('/api/v1/jobs', example);
    expect([status, text]).toEqual([202, expect.any(String)]);
    expect(body).toEqual({
      ...example,
      ...{
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        waiting_for: null,
        queue: 'default',
        priority: 5,
        status: 'pending',
        result: null,
      },
      ...{ error: null, return_code: null, scheduled_at: null, started_at: null, completed_at: null, batch_id: null },
      ...{ created_at: expect.stringMatching(/^\d{4}-.*Z$/), owner_id: expect.any(String) },
    });
    // That folder is not there: the run says so.
    expect(await over(body.id)).toMatchObject({
      status: 'failed',
      error: expect.stringContaining('/workspace/project'),
    });
  });

  test('GET /jobs/{id} and its logs once it is over', async () => {
    const job = await submit({
      command: sh('echo "$BUILD_MODE in $(pwd)"; echo oops >&2; exit 3'),
      working_dir: '/tmp',
      env: { BUILD_MODE: 'release' },
    });
    expect(await over(job.id)).toMatchObject({
      status: 'failed',
      return_code: 3,
      started_at: expect.any(String),
      completed_at: expect.any(String),
    });
    const { status, body } = await admin.get(`/api/v1/jobs/${job.id}/logs`);
    expect([status, body]).toEqual([
      200,
      {
        id: job.id,
        stdout: 'release in /tmp\n',
        stderr: 'oops\n',
        return_code: 3,
        command: job.command,
        working_dir: '/tmp',
      },
    ]);
  });

  test('logs are 409 until then', async () => {
    const { id } = await submit({ command: ['sleep', '300'] });
    await running(id);
    const { status, body } = await admin.get(`/api/v1/jobs/${id}/logs`);
    expect([status, body]).toEqual([409, { detail: 'Logs not available yet' }]);
    await admin.post(`/api/v1/jobs/${id}/cancel`);
  });

  test('a job without a name is called by its command, whatever that is', async () => {
    expect(await submit({ command: ['true', 'x'] })).toMatchObject({ name: 'true x' });
    const long = await submit({ command: ['true', `${'x'.repeat(194)}🐘🐘`] });
    expect(long.name.length).toBeLessThanOrEqual(200);
    expect((await over(long.id)).status).toBe('success');
  });

  test.each<[string, object, (string | number)[]]>([
    ['no command', {}, ['body', 'command']],
    ['an empty command', { command: [] }, ['body', 'command']],
    ['a line as command', { command: 'make test' }, ['body', 'command']],
    ['a part that is no text', { command: ['x', 7] }, ['body', 'command', 1]],
    ['a priority beyond 10', { command: ['x'], priority: 11 }, ['body', 'priority']],
    ['a variable that is no text', { command: ['x'], env: { A: 1 } }, ['body', 'env', 'A']],
    ['a start that is no instant', { command: ['x'], scheduled_at: 'tomorrow' }, ['body', 'scheduled_at']],
    ['a start beyond this time', { command: ['x'], scheduled_at: '9999-01-01T00:00:00Z' }, ['body', 'scheduled_at']],
    ['a payload that is no object', { command: ['x'], payload: 'x' }, ['body', 'payload']],
  ])('%s is 422 with its place', async (_, body, loc) => {
    const answer = await admin.post<Invalid>('/api/v1/jobs', body);
    expect([answer.status, Object.keys(answer.body)]).toEqual([422, ['detail']]);
    const [first] = answer.body.detail;
    expect(first).toMatchObject({ type: expect.any(String), loc, msg: expect.stringMatching(/\w/) });
    expect(first).toHaveProperty('input');
  });

  test('scheduled_at: pending until then, in whatever zone it is given; the command knows it', async () => {
    const at = new Date(Date.now() + 2_000);
    const inTokyo = new Date(at.getTime() + 9 * 3_600_000).toISOString().replace('Z', '+09:00');
    const withoutZone = at.toISOString().replace('Z', '');
    const command = sh('echo "$RUNLEDGER_SCHEDULED_FOR"');
    const jobs = await Promise.all(
      [at.toISOString(), inTokyo, withoutZone].map((scheduled_at) => submit({ command, scheduled_at })),
    );
    for (const job of jobs) expect(job).toMatchObject({ status: 'pending', scheduled_at: at.toISOString() });
    for (const { id } of jobs) {
      const done = await over(id);
      expect(done).toMatchObject({ status: 'success', scheduled_at: at.toISOString() });
      expect(Date.parse(String(done['started_at']))).toBeGreaterThanOrEqual(at.getTime());
      expect(Date.parse(String(done['started_at']))).toBeLessThan(at.getTime() + 20_000);
      const { stdout } = (await admin.get<{ stdout: string }>(`/api/v1/jobs/${id}/logs`)).body;
      expect(stdout).toBe(`${at.toISOString()}\n`);
    }
  });

  test('scheduled_at in the past is at once; far ahead it can be cancelled and never runs', async () => {
    const past = await submit({ command: ['true'], scheduled_at: '2020-01-01T00:00:00Z' });
    expect((await over(past.id)).status).toBe('success');
    const { id } = await submit({ command: ['true'], scheduled_at: '2150-01-01T00:00:00Z' });
    expect((await admin.post(`/api/v1/jobs/${id}/cancel`)).status).toBe(202);
    expect(await over(id)).toMatchObject({ status: 'canceled', started_at: null });
  });

  test('malformed JSON is 422, an unknown batch 400', async () => {
    expect((await admin.post('/api/v1/jobs', '{"command":')).status).toBe(422);
    const { status, body } = await admin.post<Detail>('/api/v1/jobs', { command: ['true'], batch_id: missing });
    expect([status, typeof body.detail]).toEqual([400, 'string']);
  });
});

describe('secrets in env', () => {
  const secret = 'hunter2-very-secret';
  const env = {
    API_TOKEN: secret,
    db_password: secret,
    MY_SECRET_ID: secret,
    AWS_KEY: secret,
    CREDENTIALS: secret,
    PLAIN: 'shown',
  };

  test('reach the command, and are masked in every answer', async () => {
    const sent = await admin.post<Job>('/api/v1/jobs', { command: sh('printf %s "$API_TOKEN" | wc -c'), env });
    const { id } = sent.body;
    await over(id);
    const answers = [sent, await admin.get<Job>(`/api/v1/jobs/${id}`), await admin.get('/api/v1/jobs?limit=5')];
    for (const { text } of answers) {
      expect(text).not.toContain(secret);
      expect(text).toContain('"PLAIN":"shown"');
    }
    expect(sent.body.env['API_TOKEN']).toBe('***');
    expect((await admin.get<{ stdout: string }>(`/api/v1/jobs/${id}/logs`)).body.stdout.trim()).toBe(
      String(secret.length),
    );
  });

  test('are masked in a 422 as well', async () => {
    for (const wrong of [
      { env: { 'API TOKEN': secret } },
      { env: `API_TOKEN=${secret}` },
      { env: { ...env, API_KEY: [secret] } },
      { env, priority: 99 },
    ]) {
      const { status, text } = await admin.post('/api/v1/jobs', { command: ['true'], ...wrong });
      expect([status, text.includes(secret)]).toEqual([422, false]);
    }
    const bad = await admin.post('/api/v1/jobs', { command: ['true'], env: { API_TOKEN: `${secret}\u0000` } });
    expect([bad.status, bad.text.includes(secret)]).toEqual([422, false]);
  });
});

describe('Jobs: lists and counts', () => {
  let mine: Job[];
  beforeAll(async () => {
    mine = [];
    for (const command of [['true'], ['false'], ['true'], ['sleep', '300'], ['true']])
      mine.unshift(await submit({ command }, other));
    for (const { id, command } of mine) if ((command as string[])[0] !== 'sleep') await over(id, other);
    await running(mine[1]!.id);
  });
  afterAll(() => other.post(`/api/v1/jobs/${mine[1]!.id}/cancel`));

  const list = async (query = '', by = other) => {
    const { status, body } = await by.get<Jobs>(`/api/v1/jobs${query}`);
    expect(status).toBe(200);
    return body;
  };
  const ids = ({ items }: Jobs) => items.map(({ id }) => id);

  test('the whole set when no limit is given, newest first', async () => {
    const whole = await list();
    expect([ids(whole), whole.total]).toEqual([mine.map(({ id }) => id), 5]);
    expect(whole.items[0]).toEqual((await other.get(`/api/v1/jobs/${mine[0]!.id}`)).body);
  });

  test('by status, in both spellings', async () => {
    for (const name of ['status', 'status_filter']) {
      const success = await list(`?${name}=success`);
      expect([ids(success), success.total]).toEqual([[mine[0]!.id, mine[2]!.id, mine[4]!.id], 3]);
      expect(ids(await list(`?${name}=running`))).toEqual([mine[1]!.id]);
      expect(await list(`?${name}=canceled`)).toMatchObject({ items: [], total: 0 });
    }
    expect((await other.get<Invalid>('/api/v1/jobs?status=done')).body.detail[0]!.loc).toEqual(['query', 'status']);
  });

  test('of a batch', async () => {
    expect(await list(`?batch_id=${missing}`)).toMatchObject({ items: [], total: 0 });
    expect((await other.get('/api/v1/jobs?batch_id=x')).status).toBe(422);
  });

  test('limit and cursor give pages', async () => {
    const found: string[] = [];
    for (let cursor: string | null | undefined = ''; cursor !== null && cursor !== undefined;) {
      const page: Jobs = await list(`?limit=2${cursor && `&cursor=${cursor}`}`);
      expect(page.total).toBe(5);
      found.push(...ids(page));
      cursor = page.next;
    }
    expect(found).toEqual(mine.map(({ id }) => id));
  });

  test('stats count his own, everybody’s for an admin who asks', async () => {
    const { body } = await other.get('/api/v1/jobs/stats');
    expect(body).toEqual({ pending: 0, running: 1, success: 3, failed: 1, canceled: 0, total: 5 });
    const { body: all } = await admin.get<{ total: number }>('/api/v1/jobs/stats?all=true');
    expect(all.total).toBe((await list('', admin)).total);
    expect((await other.get<Detail>('/api/v1/jobs/stats?all=true')).body).toEqual({
      detail: 'Admin privilege required',
    });
  });

  test('an admin sees all; what somebody may not see is as missing as what never was', async () => {
    expect(ids(await list('', admin))).toEqual(expect.arrayContaining(mine.map(({ id }) => id)));
    const foreign = await submit({ command: ['true'] }, admin);
    for (const place of ['', '/logs']) {
      const hidden = await other.get(`/api/v1/jobs/${foreign.id}${place}`);
      const never = await other.get(`/api/v1/jobs/${missing}${place}`);
      expect([hidden.status, hidden.body]).toEqual([404, never.body]);
    }
    expect((await other.post(`/api/v1/jobs/${foreign.id}/cancel`)).status).toBe(404);
    expect((await other.call('DELETE', `/api/v1/jobs/${foreign.id}`)).status).toBe(404);
    expect((await other.get('/api/v1/jobs/7')).status).toBe(404);
  });
});

describe('cancelling', () => {
  test.each([
    ['POST', '/cancel', 202],
    ['DELETE', '', 200],
  ])('%s %s', async (method, place, expected) => {
    const { id } = await submit({ command: ['sleep', '300'] });
    await running(id);
    const { status, body } = await admin.call(method, `/api/v1/jobs/${id}${place}`);
    expect([status, body]).toEqual([expected, { detail: 'Cancel signal issued' }]);
    expect(await over(id)).toMatchObject({ status: 'canceled', return_code: null });
    expect((await admin.call<Detail>(method, `/api/v1/jobs/${id}${place}`)).status).toBe(409);
  });
});

describe('settings', () => {
  let set: Stack;
  let his: Client;
  beforeAll(async () => {
    set = await startStack(topology, {
      RUNLEDGER_JOBS_PREFIX: '/runner/v2',
      RUNLEDGER_ALLOWED_ROOTS: '/tmp:/srv/work/',
    });
    const form = new URLSearchParams({ username: 'admin', password: set.adminPassword });
    const { body } = await new Client(set.url).post<{ access_token: string }>('/runner/v2/auth/token', form);
    his = new Client(set.url, { authorization: `Bearer ${body.access_token}` });
  }, 90_000);
  afterAll(() => set.stop(), 60_000);

  test('RUNLEDGER_JOBS_PREFIX: the jobs paths are below it, errors too; native stays', async () => {
    const { status, body } = await his.post<Job>('/runner/v2/jobs', { command: ['true'] });
    expect(status).toBe(202);
    expect((await his.get<Job>(`/runner/v2/jobs/${body.id}`)).body.id).toBe(body.id);
    expect((await his.get<Detail>(`/runner/v2/jobs/${missing}`)).body).toEqual({ detail: 'Job not found' });
    expect((await new Client(set.url).get('/runner/v2/health')).status).toBe(200);
    expect((await his.get<{ id: string }>(`/api/v1/runs/${body.id}`)).body.id).toBe(body.id);
  });

  test('RUNLEDGER_ALLOWED_ROOTS: a working directory elsewhere is 400', async () => {
    const at = (working_dir: string) => his.post<Job & Detail>('/runner/v2/jobs', { command: ['true'], working_dir });
    for (const dir of ['/etc', '/tmp/../etc', '/tmpfoo', '/srv', 'relative']) {
      const { status, body } = await at(dir);
      expect([dir, status, body]).toEqual([dir, 400, { detail: 'Working directory outside allowed paths' }]);
    }
    for (const dir of ['/tmp', '/tmp/', '/srv/work/a']) expect([dir, (await at(dir)).status]).toEqual([dir, 202]);
  });
});
