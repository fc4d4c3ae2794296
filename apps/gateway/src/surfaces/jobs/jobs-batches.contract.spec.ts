import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, type Client, eventually, sendRaw, startStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { headOf } from '../../refused.harness.js';
import {
  batches,
  countsOf,
  everythingWritten,
  isActive,
  makeBatch,
  missing,
  never,
  readBatch,
  sh,
  sumOf,
  type Batch,
  type BatchRow,
  type Detail,
  type Invalid,
  type Job,
} from './batches.harness.js';

interface List<T> {
  items: T[];
  total: number;
  next?: string | null;
}

let stack: Stack;
let admin: Client;
let olga: Client;
let otto: Client;
beforeAll(async () => {
  stack = await startStack(topology, { RUNLEDGER_ALLOWED_ROOTS: '/tmp:/srv/work' });
  admin = await adminOf(stack);
  olga = await newcomer(stack, 'olga', 'operator');
  otto = await newcomer(stack, 'otto', 'operator');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const make = (jobs: object[], more: object = {}, by = olga) => makeBatch(by, { jobs, ...more });
const read = (id: string, by = olga) => readBatch(by, id);
const over = (id: string, by = olga) =>
  eventually('the batch to end', async () => {
    const batch = await read(id, by);
    return !isActive(batch) && batch;
  });
const names = ({ jobs }: { jobs: Job[] }) => jobs.map(({ name }) => name);
const ids = (jobs: { id: string }[]) => jobs.map(({ id }) => id);

/** What of a job is the same from its birth on. */
const unchanging = ({ status: _, started_at: __, completed_at: ___, return_code: ____, ...rest }: Job) => rest;

describe('Example Batch Creation', () => {
  const example = {
    name: 'nightly-ui-suite',
    description: 'Chromium smoke',
    jobs: [
      { name: 'login', command: ['pytest', 'tests/login.py'] },
      { name: 'checkout', command: ['pytest', 'tests/checkout.py'] },
    ],
  };

  test('202 with the saved batch and its jobs, which are as jobs are', async () => {
    const { status, body, headers } = await olga.post<Batch>(batches, example);
    expect([status, headers.get('content-type')]).toEqual([202, 'application/json; charset=utf-8']);
    const { jobs, ...batch } = body;
    expect(batch).toEqual({
      ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), name: 'nightly-ui-suite', description: 'Chromium smoke' },
      ...{ owner_id: expect.any(String), created_at: expect.stringMatching(/^\d{4}-.*Z$/), total_jobs: 2 },
      ...{ status: expect.any(String), pending_count: expect.any(Number), running_count: expect.any(Number) },
      ...{ success_count: 0, failed_count: expect.any(Number), canceled_count: 0 },
    });
    expect(sumOf(body)).toBe(2);
    expect(jobs).toMatchObject(
      example.jobs.map((job) => ({
        ...job,
        ...{ id: expect.any(String), working_dir: null, env: {}, payload: null, queue: 'default', priority: 5 },
        ...{ result: null, owner_id: batch.owner_id, batch_id: batch.id, scheduled_at: null },
      })),
    );
    const done = await over(batch.id);
    expect(done.jobs.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
    for (const job of done.jobs) expect((await olga.get(`/api/v1/jobs/${job.id}`)).body).toEqual(job);
    const { items, total } = (await olga.get<List<BatchRow>>(batches)).body;
    const { jobs: _, ...row } = done;
    expect([items[0], total]).toEqual([row, items.length]);
  });

  test('each job is as it was submitted; the description and the name may be left out', async () => {
    const jobs = [
      { name: 'all', command: ['true', ''], working_dir: '/tmp', env: { A: '1' }, payload: { note: [1, null] } },
      { command: ['true'], priority: 10, queue: 'gpu.a-1', ...never },
      { name: null, command: ['true'], working_dir: null, env: null, payload: null, scheduled_at: null },
    ];
    const [made, nameless] = [await make(jobs), await make(jobs, { name: null, description: null })];
    expect(made).toMatchObject({ name: 'a batch', description: null, total_jobs: 3 });
    expect(nameless).toMatchObject({ name: 'batch', description: null });
    expect(made.jobs).toMatchObject([
      { ...jobs[0], queue: 'default', priority: 5 },
      { name: 'true', priority: 10, queue: 'gpu.a-1', status: 'pending', scheduled_at: '2150-01-01T00:00:00.000Z' },
      { name: 'true', working_dir: null, env: {}, payload: null, scheduled_at: null },
    ]);
    // Nothing of them is left that would write while the next tests look.
    for (const { id } of [made, nameless])
      await eventually('the others to end', async () => (await read(id)).success_count === 2);
    expect((await read(made.id)).jobs.map(unchanging)).toEqual(made.jobs.map(unchanging));
  });
});

describe('jobs in the order in which they were submitted', () => {
  test('whatever their priority and whenever they run; the list of its jobs is newest first', async () => {
    const jobs = Array.from({ length: 450 }, (_, i) => ({
      name: `job ${i}`,
      command: ['true'],
      priority: i % 11,
      ...never,
    }));
    const made = await make(jobs);
    const order = jobs.map(({ name }) => name);
    expect(names(made)).toEqual(order);
    expect(ids((await read(made.id)).jobs)).toEqual(ids(made.jobs));
    const list = async (query: string) => (await olga.get<List<Job>>(`/api/v1/jobs?batch_id=${made.id}${query}`)).body;
    const whole = await list('');
    expect([whole.items.map(({ name }) => name), whole.total]).toEqual([order.toReversed(), 450]);
    const page = await list('&limit=3');
    expect([ids(page.items), page.total]).toEqual([ids(whole.items.slice(0, 3)), 450]);
    expect(await list('&status=pending&limit=1')).toMatchObject({ total: 450 });
    expect(await list('&status=success')).toMatchObject({ items: [], total: 0 });
    await olga.post(`${batches}/${made.id}/cancel`);
  });

  test('of one priority they start in it', async () => {
    const made = await make(Array.from({ length: 60 }, (_, i) => ({ name: String(i), command: ['true'] })));
    const { jobs } = await over(made.id);
    const starts = await startsOf(made.id);
    expect(starts).toEqual(ids(jobs));
  });

  /** Runs of the batch by the position of their start. */
  async function startsOf(batch: string): Promise<string[]> {
    const wanted = new Set(ids((await read(batch)).jobs));
    const found: string[] = [];
    for (let after = '0'; ;) {
      const path = `/api/v1/events?type=RunStarted&after=${after}&limit=1000`;
      const { items } = (await admin.get<{ items: { stream: string; position: string }[] }>(path)).body;
      found.push(...items.map(({ stream }) => stream.slice('run-'.length)).filter((id) => wanted.has(id)));
      if (items.length < 1_000) return found;
      after = items.at(-1)!.position;
    }
  }
});

test('counts are right at every poll while a batch of some hundreds runs, for its owner and for an admin', async () => {
  const size = 300;
  const jobs = Array.from({ length: size }, (_, i) => ({ command: [i % 10 === 3 ? 'false' : 'true'] }));
  const { id } = await make(jobs);
  await read(id, admin);
  const seen = new Set<string>();
  const watch = async (by: Client) => {
    for (let before = size; ;) {
      const [one, list] = [await read(id, by), (await by.get<List<BatchRow>>(`${batches}?limit=1`)).body];
      expect(list.items[0]!.id).toBe(id);
      for (const batch of [one, list.items[0]!]) {
        expect([sumOf(batch), batch.total_jobs]).toEqual([size, size]);
        expect(batch.pending_count).toBeLessThanOrEqual(before);
        before = batch.pending_count;
        seen.add(batch.status);
      }
      expect(one.jobs).toHaveLength(size);
      if (!isActive(one)) return one;
    }
  };
  const ends = await Promise.all([watch(olga), watch(admin)]);
  for (const end of ends) {
    expect(countsOf(end)).toEqual({ pending: 0, running: 0, success: 270, failed: 30, canceled: 0 });
    expect(end.status).toBe('failed');
  }
  expect(seen).toContain('running');
});

test.each<[string, object[], string]>([
  ['pending', [{ command: ['true'], ...never }], 'pending'],
  ['running', [{ command: ['true'] }, { command: ['true'], ...never }], 'running'],
  ['success', [{ command: ['true'] }, { command: ['true'] }], 'success'],
  ['failed', [{ command: ['true'] }, { command: ['false'] }], 'failed'],
])('the status of a batch: %s', async (_, jobs, status) => {
  const { id } = await make(jobs);
  await eventually(`the batch to be ${status}`, async () => {
    const batch = await read(id);
    return batch.status === status && (status === 'running' ? batch.success_count === 1 : true);
  });
});

describe('all or none', () => {
  const good = (size: number): object[] => Array.from({ length: size }, () => ({ command: ['true'], ...never }));
  const with17 = (bad: unknown) => ({ name: 'b', jobs: good(40).with(17, bad as object) });
  const at17 = (...rest: (string | number)[]) => ['body', 'jobs', 17, ...rest];

  test.each<[string, object, (string | number)[]]>([
    ['a job without a command', with17({}), at17('command')],
    ['an empty command', with17({ command: [] }), at17('command')],
    ['a line as command', with17({ command: 'make test' }), at17('command')],
    ['a part that is no text', with17({ command: ['x', 7] }), at17('command', 1)],
    ['an empty name', with17({ command: ['x'], name: '' }), at17('name')],
    ['a priority beyond 10', with17({ command: ['x'], priority: 11 }), at17('priority')],
    ['a name that no queue has', with17({ command: ['x'], queue: 'a b' }), at17('queue')],
    ['a variable that is no text', with17({ command: ['x'], env: { A: 1 } }), at17('env', 'A')],
    ['a start that is no instant', with17({ command: ['x'], scheduled_at: 'soon' }), at17('scheduled_at')],
    ['a payload that is no object', with17({ command: ['x'], payload: [] }), at17('payload')],
    ['a job that is none', with17('true'), at17()],
    ['nothing for a job', with17(null), at17()],
    ['no jobs at all', { name: 'b' }, ['body', 'jobs']],
    ['an empty list of jobs', { name: 'b', jobs: [] }, ['body', 'jobs']],
    ['10,001 jobs', { name: 'b', jobs: good(10_001) }, ['body', 'jobs']],
    ['an object of jobs', { name: 'b', jobs: { 0: { command: ['x'] } } }, ['body', 'jobs']],
    ['a name that is no text', { name: 7, jobs: good(1) }, ['body', 'name']],
    ['an empty name of the batch', { name: '', jobs: good(1) }, ['body', 'name']],
    ['a description that is no text', { name: 'b', description: 7, jobs: good(1) }, ['body', 'description']],
  ])('%s is 422 with its place, and nothing is written', async (_, body, loc) => {
    const before = await everythingWritten(stack);
    const answer = await olga.post<Invalid>(batches, body);
    expect([answer.status, Object.keys(answer.body)]).toEqual([422, ['detail']]);
    const [first] = answer.body.detail;
    expect(first).toMatchObject({ type: expect.any(String), loc, msg: expect.stringMatching(/\w/) });
    expect(first).toHaveProperty('input');
    expect(await everythingWritten(stack)).toEqual(before);
  });

  test('every bad job is named', async () => {
    const jobs = good(40)
      .with(3, {})
      .with(39, { command: ['x'], priority: -1 });
    const { body } = await olga.post<Invalid>(batches, { name: 'b', jobs });
    expect(body.detail.map(({ loc }) => loc)).toEqual([
      ['body', 'jobs', 3, 'command'],
      ['body', 'jobs', 39, 'priority'],
    ]);
  });

  test('what cannot be stored of one job is refused with all of them', async () => {
    const before = await everythingWritten(stack);
    for (const bad of [
      { command: ['x'], payload: { long: 'x'.repeat(1_048_577) } },
      { command: ['x'], payload: { nul: 'a\u0000' } },
    ]) {
      const { status, body } = await olga.post<Invalid>(batches, with17(bad));
      expect([status, body]).toEqual([
        422,
        { detail: [expect.objectContaining({ msg: expect.stringMatching(/\w/) })] },
      ]);
    }
    expect(await everythingWritten(stack)).toEqual(before);
  });

  test('a working directory outside the allowed roots is 400 and names the job', async () => {
    const before = await everythingWritten(stack);
    for (const working_dir of ['/etc', '/tmp/../etc', '/tmpfoo', 'relative']) {
      const { status, body } = await olga.post(batches, with17({ command: ['x'], working_dir }));
      expect([status, body]).toEqual([400, { detail: 'jobs[17]: Working directory outside allowed paths' }]);
    }
    expect(await everythingWritten(stack)).toEqual(before);
    const inside = good(3).map((job, i) => ({ ...job, working_dir: ['/tmp', '/tmp/', '/srv/work/a'][i] }));
    expect((await make(inside)).total_jobs).toBe(3);
  });

  test('a body of more than 16 MiB is 413 before it is read', async () => {
    const before = await headOf(admin);
    const lines = [
      ...[`POST ${batches} HTTP/1.1`, `Host: ${new URL(stack.url).host}`, 'Connection: close'],
      ...[`Authorization: ${olga.header('authorization')}`, 'Content-Type: application/json'],
      `Content-Length: ${16 * 1_048_576 + 1}`,
    ];
    const { status, headers, text } = await sendRaw(stack.url, `${lines.join('\r\n')}\r\n\r\n{"name":`);
    expect([status, headers['content-type']]).toEqual([413, 'application/json; charset=utf-8']);
    expect(JSON.parse(text)).toEqual({ detail: expect.stringContaining('too large') });
    expect(await headOf(admin)).toBe(before);
  });

  test('one of nearly as much is taken, and comes back whole', async () => {
    const long = (i: number) => `${i}:${'x'.repeat(125_000)}`;
    const jobs = Array.from({ length: 130 }, (_, i) => ({ command: ['true', long(i)], name: String(i), ...never }));
    expect(JSON.stringify(jobs).length).toBeGreaterThan(15.5 * 1_048_576);
    const made = await make(jobs);
    expect(made.jobs.every(({ command }, i) => command[1] === long(i))).toBe(true);
    expect(await read(made.id)).toMatchObject({ total_jobs: 130, pending_count: 130 });
    await olga.post(`${batches}/${made.id}/cancel`);
  });

  test('10,000 jobs are one batch; they are cancelled and deleted as one', async () => {
    const jobs = Array.from({ length: 10_000 }, (_, i) => ({ name: String(i), command: ['true'], ...never }));
    const made = await make(jobs);
    expect([made.total_jobs, sumOf(made), made.jobs.every(({ name }, i) => name === String(i))]).toEqual([
      ...[10_000, 10_000, true],
    ]);
    expect((await olga.post(`${batches}/${made.id}/cancel`)).body).toEqual({
      detail: 'Cancel signal issued to 10000 job(s)',
    });
    expect(countsOf(await read(made.id))).toMatchObject({ pending: 0, canceled: 10_000 });
    const { status, body } = await olga.call('DELETE', `${batches}/${made.id}`);
    expect([status, body]).toEqual([200, { detail: 'Batch deleted with 10000 job(s)' }]);
  });
});

test('secrets in env reach the command and are masked in every answer and event, and in a 422', async () => {
  const secret = 'hunter2-of-a-batch';
  const env = { API_TOKEN: secret, PLAIN: 'shown' };
  const sent = await olga.post<Batch>(batches, {
    name: 'secretive',
    jobs: [
      { command: sh('printf %s "$API_TOKEN" | wc -c'), env },
      { command: ['true'], env: { db_password: secret } },
    ],
  });
  expect(sent.status).toBe(202);
  const { id, jobs } = await over(sent.body.id);
  expect((await olga.get<{ stdout: string }>(`/api/v1/jobs/${jobs[0]!.id}/logs`)).body.stdout.trim()).toBe(
    String(secret.length),
  );
  const answers = [sent, await olga.get(`${batches}/${id}`), await olga.get(`/api/v1/jobs?batch_id=${id}`)];
  for (const { text } of answers) {
    expect(text).toContain('"API_TOKEN":"***"');
    expect(text).toContain('"db_password":"***"');
    expect(text).toContain('"PLAIN":"shown"');
  }
  answers.push(await olga.get(`/api/v1/runs/${jobs[0]!.id}/events`), await admin.get('/api/v1/events?limit=1000'));
  answers.push(await olga.post(batches, { name: 'b', jobs: [{ command: ['x'], env: { ...env, API_KEY: [secret] } }] }));
  answers.push(await olga.post(batches, { name: 'b', jobs: [{ command: ['x'], env: `API_TOKEN=${secret}` }] }));
  expect(answers.slice(-2).map(({ status }) => status)).toEqual([422, 422]);
  for (const { text } of answers) expect(text).not.toContain(secret);
});

describe('GET /job-batches', () => {
  test("one's own, newest first, admins see all; the whole set unless a limit is given, then pages", async () => {
    const mine: string[] = [];
    for (let i = 0; i < 5; i++) mine.unshift((await make([{ command: ['true'], ...never }], {}, otto)).id);
    const list = async (query: string, by: Client) => (await by.get<List<BatchRow>>(`${batches}${query}`)).body;
    const his = await list('', otto);
    expect(ids(his.items).slice(0, 5)).toEqual(mine);
    expect(his.total).toBe(his.items.length);
    expect(his.items[0]).not.toHaveProperty('jobs');
    expect(new Set(his.items.map(({ owner_id }) => owner_id)).size).toBe(1);
    expect(ids((await list('', olga)).items)).not.toContain(mine[0]);
    const all = await list('', admin);
    expect(ids(all.items)).toEqual(expect.arrayContaining(mine));
    expect(new Set(all.items.map(({ owner_id }) => owner_id)).size).toBeGreaterThan(1);
    const found: string[] = [];
    for (let cursor: string | null | undefined = ''; cursor !== null && cursor !== undefined;) {
      const page: List<BatchRow> = await list(`?limit=2${cursor && `&cursor=${cursor}`}`, otto);
      expect(page.total).toBe(his.total);
      found.push(...ids(page.items));
      cursor = page.next;
    }
    expect(found).toEqual(ids(his.items));
  });

  test('without a slash and with one; a limit or cursor that is none is 422', async () => {
    expect((await olga.get(`${batches}/`)).status).toBe(200);
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'limit=1&cursor=x']) {
      expect([query, (await olga.get(`${batches}?${query}`)).status]).toEqual([query, 422]);
    }
    expect((await olga.get<Detail>(`${batches}/${missing}`)).status).toBe(404);
  });
});
