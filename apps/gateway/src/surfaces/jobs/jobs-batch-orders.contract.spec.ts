import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { adminOf, Client, eventually, sharedStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { headOf } from '../../refused.harness.js';
import {
  batches,
  countsOf,
  isActive,
  isAlive,
  makeBatch,
  missing,
  never,
  pidIn,
  readBatch,
  sh,
  type Batch,
  type BatchRow,
  type Detail,
  type Invalid,
  type Job,
} from './batches.harness.js';

let stack: Stack;
let admin: Client;
let olga: Client;
let otto: Client;
let viewer: Client;
let user: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  olga = await newcomer(stack, 'olga', 'operator');
  otto = await newcomer(stack, 'otto', 'operator');
  viewer = await newcomer(stack, 'vera', 'viewer');
  user = await newcomer(stack, 'uli', 'user');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const make = (jobs: object[], by = olga) => makeBatch(by, { jobs });
const read = (id: string, by = olga) => readBatch(by, id);
const reaches = (id: string, what: string, is: (batch: Batch) => boolean) =>
  eventually(`the batch to ${what}`, async () => {
    const batch = await read(id);
    return is(batch) && batch;
  });
const over = (id: string) => reaches(id, 'end', (batch) => !isActive(batch));
const cancel = (id: string, by = olga) => by.post<Detail>(`${batches}/${id}/cancel`);
const force = (id: string, body: object, by = olga) =>
  by.post<Detail & Invalid>(`${batches}/${id}/force-complete`, body);
const remove = (id: string, by = olga) => by.call<Detail>('DELETE', `${batches}/${id}`);

interface Event {
  type: string;
  data: Record<string, unknown>;
  meta: { actor: string };
}
const eventsOf = async (stream: string) =>
  (await admin.get<{ items: Event[] }>(`/api/v1/events?stream=${stream}&limit=1000`)).body.items;
const typesOf = async (stream: string) => (await eventsOf(stream)).map(({ type }) => type);

/** One that is over, two that run until they are ended, and three that wait; and the processes of those that run. */
async function mixed(): Promise<{ batch: Batch; pids: number[] }> {
  const files = ['a', 'b'].map((name) => path.join(stack.dataDir, `pid-${name}-${++made}`));
  const running = files.map((file) => ({ name: 'runs', command: sh(`echo $$ > ${file}; echo before; sleep 300`) }));
  const waiting = Array.from({ length: 3 }, () => ({ name: 'waits', command: ['true'], ...never }));
  const { id } = await make([{ name: 'ends', command: sh('echo out; exit 3') }, ...running, ...waiting]);
  const batch = await reaches(id, 'run', (each) => each.running_count === 2 && each.failed_count === 1);
  const pids = await eventually('their processes', async () => {
    const found = files.map(pidIn);
    return found.every((pid) => pid !== undefined) && found;
  });
  expect(pids.every(isAlive)).toBe(true);
  return { batch, pids };
}
let made = 0;

const deadAll = (pids: number[]) => eventually('the processes to be dead', async () => !pids.some(isAlive));
const expectNever = async (answer: { status: number; body: unknown }, method: string, place = '', body?: object) => {
  const none = await olga.call(method, `${batches}/${missing}${place}`, body);
  expect([answer.status, answer.body]).toEqual([404, none.body]);
};

describe('POST /job-batches/{id}/cancel', () => {
  test('cancels what waits and what runs; what is over stays as it was', async () => {
    const { batch, pids } = await mixed();
    const { status, body } = await cancel(batch.id);
    expect([status, body]).toEqual([202, { detail: 'Cancel signal issued to 5 job(s)' }]);
    const end = await over(batch.id);
    expect(countsOf(end)).toEqual({ pending: 0, running: 0, success: 0, failed: 1, canceled: 5 });
    expect(end.jobs.map((job) => [job.name, job.status])).toEqual([
      ['ends', 'failed'],
      ...Array<string[]>(2).fill(['runs', 'canceled']),
      ...Array<string[]>(3).fill(['waits', 'canceled']),
    ]);
    expect(end.jobs[0]).toEqual(batch.jobs[0]);
    await deadAll(pids);
    expect(await typesOf(`run-${end.jobs[1]!.id}`)).toEqual([
      ...['RunRequested', 'RunStarted', 'RunCancelRequested', 'RunCancelled'],
    ]);
    expect(await typesOf(`run-${end.jobs[5]!.id}`)).toEqual(['RunRequested', 'RunCancelled']);
    expect(await typesOf(`batch-${batch.id}`)).toEqual(['BatchCreated', 'BatchCancelRequested']);
    // Of one that is over there is nothing to cancel.
    expect(await cancel(batch.id)).toMatchObject({ status: 202, body: { detail: 'Cancel signal issued to 0 job(s)' } });
    expect(countsOf(await read(batch.id))).toEqual(countsOf(end));
  });

  test('one of waiting jobs alone is canceled', async () => {
    const { id } = await make([
      { command: ['true'], ...never },
      { command: ['true'], ...never },
    ]);
    await cancel(id);
    expect(await over(id)).toMatchObject({ status: 'canceled', canceled_count: 2 });
  });
});

describe('POST /job-batches/{id}/force-complete', () => {
  const words = { success: 'succeeded', failed: 'failed', canceled: 'cancelled' };

  test.each(Object.keys(words) as (keyof typeof words)[])(
    'what is not finished is %s at once and really over; what is stays as it was',
    async (to) => {
      const { batch, pids } = await mixed();
      const { status, body } = await force(batch.id, { status: to });
      expect([status, body]).toEqual([200, { detail: `Force-completed 5 job(s) as ${to}` }]);
      const end = await read(batch.id);
      expect(end.jobs.map((job) => job.status)).toEqual(['failed', ...Array<string>(5).fill(to)]);
      expect(end.jobs[0]).toEqual(batch.jobs[0]);
      await deadAll(pids);
      for (const { id } of end.jobs.slice(1)) {
        const verdict = (await eventsOf(`run-${id}`)).filter(({ type }) => type === 'RunForceCompleted');
        expect(verdict.map(({ data }) => data['status'])).toEqual([words[to]]);
      }
      expect(await typesOf(`batch-${batch.id}`)).toEqual(['BatchCreated', 'BatchForceCompleted']);
      await eventually('the late report', async () =>
        (await typesOf(`run-${end.jobs[1]!.id}`)).includes('RunLateReported'),
      );
      expect(countsOf(await read(batch.id))).toEqual(countsOf(end));
      expect((await force(batch.id, { status: to })).body).toEqual({ detail: `Force-completed 0 job(s) as ${to}` });
    },
  );

  test.each<[string, unknown]>([
    ['no status', {}],
    ['a status that is active', { status: 'running' }],
    ['a word of another document', { status: 'succeeded' }],
    ['nothing', undefined],
  ])('%s is 422 with its place, and changes nothing', async (_, body) => {
    const { id } = await make([{ command: ['true'], ...never }]);
    const before = await headOf(admin);
    const { status, body: answer } = await force(id, body as object);
    expect([status, answer.detail[0]]).toEqual([422, expect.objectContaining({ loc: ['body', 'status'] })]);
    expect(await headOf(admin)).toBe(before);
    await cancel(id);
  });
});

describe('DELETE /job-batches/{id}', () => {
  test('400 while a job is active; nothing changes', async () => {
    for (const jobs of [[{ command: ['true'], ...never }], [{ command: ['true'] }, { command: ['sleep', '300'] }]]) {
      const made = await make(jobs);
      const batch = await reaches(made.id, 'be half-way', (each) =>
        jobs.length === 1 ? true : each.success_count === 1 && each.running_count === 1,
      );
      const before = await headOf(admin);
      const { status, body } = await remove(batch.id);
      expect([status, body]).toEqual([400, { detail: expect.stringMatching(/finished/) }]);
      expect([await read(batch.id), await headOf(admin)]).toEqual([batch, before]);
      await cancel(batch.id);
      await over(batch.id);
      expect((await remove(batch.id)).status).toBe(200);
    }
  });

  test('afterwards it and its jobs are as missing as what never was, and their output is gone', async () => {
    const [gone, stays] = [
      await make([{ command: sh('echo out; echo oops >&2') }, { command: ['false'] }, { command: sh('echo more') }]),
      await make([{ command: sh('echo kept') }]),
    ];
    await over(stays.id);
    const { jobs } = await over(gone.id);
    // One that was purged before is no hindrance.
    expect((await olga.call('DELETE', `/api/v1/jobs/${jobs[1]!.id}/purge`)).status).toBe(200);
    expect(await read(gone.id)).toMatchObject({ total_jobs: 2, success_count: 2, failed_count: 0 });
    const before = (await olga.get<Record<string, number>>('/api/v1/jobs/stats')).body;
    expect(await chunksOf(jobs)).toBeGreaterThan(0);

    const { status, body } = await remove(gone.id);
    expect([status, body]).toEqual([200, { detail: 'Batch deleted with 2 job(s)' }]);
    for (const [method, place, order] of [
      ...[['GET', ''] as const, ['POST', '/cancel'] as const, ['DELETE', ''] as const],
      ['POST', '/force-complete', { status: 'failed' }] as const,
    ]) {
      await expectNever(await olga.call(method, `${batches}/${gone.id}${place}`, order), method, place, order);
    }
    for (const { id } of jobs) {
      for (const place of ['', '/logs']) {
        const never = await olga.get(`/api/v1/jobs/${missing}${place}`);
        const { status: no, body: why } = await olga.get(`/api/v1/jobs/${id}${place}`);
        expect([no, why]).toEqual([404, never.body]);
      }
      expect((await typesOf(`run-${id}`)).at(-1)).toBe('RunPurged');
    }
    expect(await chunksOf(jobs)).toBe(0);
    expect(await typesOf(`batch-${gone.id}`)).toEqual(['BatchCreated', 'BatchDeleted']);
    const list = (await olga.get<{ items: BatchRow[]; total: number }>(batches)).body;
    expect(list.items.map(({ id }) => id)).not.toContain(gone.id);
    expect(list.items.map(({ id }) => id)).toContain(stays.id);
    expect(list.total).toBe(list.items.length);
    expect((await olga.get(`/api/v1/jobs?batch_id=${gone.id}`)).body).toMatchObject({ items: [], total: 0 });
    const after = (await olga.get<Record<string, number>>('/api/v1/jobs/stats')).body;
    expect(after).toEqual({ ...before, success: before['success']! - 2, total: before['total']! - 2 });
    expect(await chunksOf(stays.jobs)).toBeGreaterThan(0);
    expect((await admin.get<{ ok: boolean }>('/api/v1/verify')).body.ok).toBe(true);
  });

  test('one whose jobs were all purged is not active, and can be deleted', async () => {
    const { id, jobs } = await make([{ command: ['true'] }]);
    await over(id);
    await olga.call('DELETE', `/api/v1/jobs/${jobs[0]!.id}/purge`);
    const left = await read(id);
    expect([left.total_jobs, left.jobs, isActive(left)]).toEqual([0, [], false]);
    expect(await remove(id)).toMatchObject({ status: 200, body: { detail: 'Batch deleted with 0 job(s)' } });
  });
});

describe('who may', () => {
  const orders: [string, (id: string, by: Client) => Promise<{ status: number; body: unknown }>][] = [
    ['cancel', (id, by) => cancel(id, by)],
    ['force-complete', (id, by) => force(id, { status: 'failed' }, by)],
    ['delete', (id, by) => remove(id, by)],
    ['read', (id, by) => by.get(`${batches}/${id}`)],
  ];
  const jobs = [{ command: ['true'] }];

  test('a viewer and a user may submit none, and nothing is written; without a token it is 401', async () => {
    const before = await headOf(admin);
    for (const by of [viewer, user]) {
      const { status, body } = await by.post(batches, { name: 'b', jobs });
      expect([status, body]).toEqual([403, { detail: expect.any(String) }]);
      expect((await by.get(batches)).body).toEqual({ total: 0, items: [] });
    }
    const anyone = new Client(stack.url);
    for (const { status, headers } of [await anyone.post(batches, { name: 'b', jobs }), await anyone.get(batches)]) {
      expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    }
    expect(await headOf(admin)).toBe(before);
  });

  test.each(orders)('%s: a viewer and a user may not', async (name, order) => {
    const { id } = await make(jobs);
    const batch = await over(id);
    for (const by of [viewer, user]) {
      const [hidden, none] = [await order(id, by), await order(missing, by)];
      expect([403, 404]).toContain(hidden.status);
      expect([hidden.status, hidden.body]).toEqual([none.status, none.body]);
    }
    if (name !== 'read') expect((await order(id, viewer)).status).toBe(403);
    expect((await order(id, new Client(stack.url))).status).toBe(401);
    expect(await read(id)).toEqual(batch);
  });

  test.each(orders)(
    '%s: another operator’s is as missing as one that never was, or whose id is none',
    async (_, order) => {
      const { id } = await make(jobs);
      const batch = await over(id);
      const [hidden, none, word] = [await order(id, otto), await order(missing, otto), await order('7', otto)];
      expect([hidden.status, hidden.body]).toEqual([404, none.body]);
      expect(word.body).toEqual(none.body);
      expect(await read(id)).toEqual(batch);
    },
  );

  test('an admin may do all of it, in his own name', async () => {
    const { id } = await make([...jobs, { command: ['true'], ...never }]);
    expect((await read(id, admin)).total_jobs).toBe(2);
    expect((await cancel(id, admin)).status).toBe(202);
    await over(id);
    expect((await force(id, { status: 'failed' }, admin)).status).toBe(200);
    expect((await remove(id, admin)).status).toBe(200);
    const [made, ...later] = await eventsOf(`batch-${id}`);
    expect(new Set(later.map(({ meta }) => meta.actor)).size).toBe(1);
    expect(later[0]!.meta.actor).not.toBe(made!.meta.actor);
    expect(later.every(({ data, meta }) => data['by'] === meta.actor)).toBe(true);
  });
});

describe('batch_id of a job that is submitted later', () => {
  const submit = (batch_id: string, by = olga, more: object = never) =>
    by.post<Job & Detail>('/api/v1/jobs', { name: 'joined', command: ['true'], batch_id, ...more });

  test('it is one of the batch, its last; it is counted, cancelled and deleted with it', async () => {
    const { id } = await make([{ name: 'first', command: ['true'] }]);
    await over(id);
    const { status, body } = await submit(id);
    expect([status, body.batch_id]).toEqual([202, id]);
    const grown = await read(id);
    expect(grown.jobs.map(({ name }) => name)).toEqual(['first', 'joined']);
    expect(grown).toMatchObject({ total_jobs: 2, success_count: 1, pending_count: 1, status: 'running' });
    expect((await olga.get<{ total: number }>(`/api/v1/jobs?batch_id=${id}`)).body.total).toBe(2);
    expect((await remove(id)).status).toBe(400);
    expect((await cancel(id)).body).toEqual({ detail: 'Cancel signal issued to 1 job(s)' });
    expect(await over(id)).toMatchObject({ canceled_count: 1, status: 'canceled' });
    expect((await remove(id)).body).toEqual({ detail: 'Batch deleted with 2 job(s)' });
    expect((await olga.get(`/api/v1/jobs/${body.id}`)).status).toBe(404);
  });

  test('it may be null; an admin may add to another’s, and the job is his own', async () => {
    expect((await olga.post<Job>('/api/v1/jobs', { command: ['true'], batch_id: null })).body.batch_id).toBeNull();
    const { id, owner_id } = await make([{ command: ['true'] }]);
    await read(id, admin);
    const { status, body } = await submit(id, admin, {});
    expect([status, body.batch_id]).toEqual([202, id]);
    expect(body.owner_id).not.toBe(owner_id);
    expect((await reaches(id, 'end', (batch) => batch.success_count === 2)).jobs).toHaveLength(2);
  });

  test('a repeat by key is the same job, whatever became of its batch since', async () => {
    const { id } = await make([{ command: ['true'] }]);
    const keyed = () =>
      olga.post<Job>('/api/v1/jobs', { command: ['true'], batch_id: id }, { 'Idempotency-Key': `join-${id}` });
    const [first, ...others] = await Promise.all([keyed(), keyed(), keyed()]);
    expect(first).toMatchObject({ status: 202, body: { batch_id: id } });
    await reaches(id, 'end', (batch) => batch.success_count === 2);
    expect((await read(id)).jobs.map((job) => job.id)).toContain(first!.body.id);
    await remove(id);
    for (const { status, body } of [...others, await keyed()]) expect([status, body]).toEqual([202, first!.body]);
  });

  test('of those that come while it is deleted, none is left behind', async () => {
    const { id } = await make([{ command: ['true'] }]);
    await over(id);
    const joining = Array.from({ length: 20 }, () => submit(id));
    const removed = await remove(id);
    const answers = await Promise.all(joining);
    for (const { status, body } of answers)
      expect([status, body.detail ?? body.batch_id]).toEqual(status === 202 ? [202, id] : [400, 'Unknown batch']);
    const kept = answers.filter(({ status }) => status === 202).length;
    expect(removed.status).toBe(kept > 0 ? 400 : 200);
  });

  test('an unknown one, another’s and a deleted one are 400 alike, and nothing is written; what is none is 422', async () => {
    const [his, deleted] = [await make([{ command: ['true'] }], otto), await make([{ command: ['true'] }])];
    await over(deleted.id);
    await eventually('the other to end', async () => !isActive(await read(his.id, otto)));
    await remove(deleted.id);
    const before = await headOf(admin);
    for (const id of [missing, his.id, deleted.id]) {
      const { status, body } = await submit(id);
      expect([status, body]).toEqual([400, { detail: 'Unknown batch' }]);
    }
    expect((await submit('x')).status).toBe(422);
    expect(await headOf(admin)).toBe(before);
    expect((await read(his.id, otto)).total_jobs).toBe(1);
  });
});

/** How many pieces of output are stored of these jobs. */
async function chunksOf(jobs: Job[]): Promise<number> {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  try {
    const text = 'select count(*)::int as n from run_output where run_id = any ($1)';
    return (await client.query<{ n: number }>(text, [jobs.map(({ id }) => id)])).rows[0]!.n;
  } finally {
    await client.end();
  }
}
