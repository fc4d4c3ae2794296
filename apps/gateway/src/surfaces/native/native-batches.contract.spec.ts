import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type z } from 'zod';
import { adminOf, Client, eventually, sharedStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { headOf } from '../../refused.harness.js';
import { type nativeBatch } from './batches.shapes.js';
import { ended, eventsOf, noop, outputOf, sh, type List, type Problem, type Run } from './native.harness.js';

type Batch = z.infer<typeof nativeBatch>;

let stack: Stack;
let admin: Client;
let olga: Client;
let viewer: Client;
let user: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  olga = await newcomer(stack, 'olga', 'operator');
  viewer = await newcomer(stack, 'vera', 'viewer');
  user = await newcomer(stack, 'uli', 'user');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const missing = '01890000-0000-7000-8000-000000000000';
const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const none = {
  queued: 0,
  held: 0,
  running: 0,
  succeeded: 0,
  failed: 0,
  'timed-out': 0,
  cancelled: 0,
  lost: 0,
  skipped: 0,
};
const action = sh('true');

const post = (body: unknown, by = olga, headers: Record<string, string> = {}) =>
  by.post<Batch & Problem>('/api/v1/batches', body, headers);
const read = async (id: string, by = olga) => (await by.get<Batch & Problem>(`/api/v1/batches/${id}`)).body;

async function make(runs: object[], more: object = {}, by = olga): Promise<Batch> {
  const { status, body, text } = await post({ runs, ...more }, by);
  if (status !== 202) throw new Error(`${status}: ${text}`);
  // Whoever made it sees it at once, others with the next look of the view.
  await eventually('all to see it', async () => (await admin.get(`/api/v1/batches/${body.id}`)).status === 200);
  return body;
}

/** As the view shows it, once it does. */
const shown = (id: string, by = olga) =>
  eventually('the batch to be shown', async () => {
    const { status, body } = await by.get<Batch>(`/api/v1/batches/${id}`);
    return status === 200 && body;
  });
const over = (id: string) =>
  eventually('the batch to end', async () => {
    const batch = await shown(id);
    return batch.finished && batch;
  });
const sumOf = ({ counts }: Batch) => Object.values(counts).reduce((sum, runs) => sum + runs, 0);
const runsOf = async (id: string, by = olga) =>
  (await by.get<List<Run>>(`/api/v1/runs?batch=${id}&limit=1000`)).body.items.toReversed();

describe('POST /batches', () => {
  test('202 with the batch; its runs are runs, in the order in which they were asked for', async () => {
    const runs = [
      { name: 'first', action: sh('echo one') },
      { action: { kind: 'command', command: ['sh', '-c', 'exit 3'] }, policies: { priority: 9, timeout: '1m' } },
      { name: 'third', action: noop },
    ];
    const answer = await post({ name: 'nightly', runs });
    expect([answer.status, answer.headers.get('x-ledger-position')]).toEqual([202, expect.stringMatching(/^\d+$/)]);
    const { body } = answer;
    expect(body).toEqual({
      ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), name: 'nightly', description: null, total: 3 },
      ...{ owner: expect.any(String), createdAt: expect.stringMatching(instant), finished: expect.any(Boolean) },
      counts: Object.fromEntries(Object.keys(none).map((status) => [status, expect.any(Number)])),
    });
    expect(sumOf(body)).toBe(3);
    const end = await over(body.id);
    expect(end).toEqual({ ...body, finished: true, counts: { ...none, succeeded: 2, failed: 1 } });
    const made = await runsOf(body.id);
    expect(made).toMatchObject([
      { name: 'first', status: 'succeeded', priority: 5 },
      { name: 'command', status: 'failed', exitCode: 3, priority: 9 },
      { name: 'third', status: 'succeeded', action: noop },
    ]);
    for (const run of made) {
      expect(run).toMatchObject({ batch: body.id, owner: body.owner, scheduled: false, process: null, attempt: 1 });
      expect((await olga.get(`/api/v1/runs/${run.id}`)).body).toEqual(run);
    }
    expect(await outputOf(olga, made[0]!.id)).toBe('one\n');
  });

  test('born in one commit: the batch first, then its runs, one after the other', async () => {
    const { id } = await make([{ action }, { action: noop }, { action }]);
    const [first] = (await admin.get<List<{ position: string; type: string }>>(`/api/v1/events?stream=batch-${id}`))
      .body.items;
    expect(first!.type).toBe('BatchCreated');
    const path = `/api/v1/events?after=${BigInt(first!.position) - 1n}&limit=6`;
    const { items } = (await admin.get<List<{ stream: string; type: string }>>(path)).body;
    const ids = (await runsOf(id)).map((run) => `run-${run.id}`);
    expect(items.map(({ stream, type }) => [stream, type])).toEqual([
      [`batch-${id}`, 'BatchCreated'],
      [ids[0], 'RunRequested'],
      ...['RunRequested', 'RunStarted', 'RunSucceeded'].map((type) => [ids[1], type]),
      [ids[2], 'RunRequested'],
    ]);
    expect((await eventsOf(olga, (await runsOf(id))[0]!.id))[0]).toMatchObject({ data: { batch: id } });
    await over(id);
  });

  test('without a name it is called batch; one run is enough, as many as 10,000 are one batch', async () => {
    expect(await make([{ action: noop }])).toMatchObject({ name: 'batch', total: 1, finished: true });
    const many = await make(Array.from({ length: 10_000 }, () => ({ action: noop })));
    expect(many).toMatchObject({ total: 10_000, finished: true, counts: { ...none, succeeded: 10_000 } });
  });

  test('a reader who names the position of the answer sees it', async () => {
    const { body, headers } = await post({ runs: [{ action }] });
    const path = `/api/v1/batches/${body.id}?after=${headers.get('x-ledger-position')}`;
    expect((await viewer.get<Batch>(path)).body).toMatchObject({ id: body.id, total: 1 });
    expect((await viewer.get(`/api/v1/batches/${body.id}?after=x`)).status).toBe(422);
    await over(body.id);
  });

  test('secrets reach the commands and are never answered', async () => {
    const secret = 'hunter2-of-a-native-batch';
    const env = { TOKEN_OF_MINE: { secret }, PLAIN: 'shown' };
    const sent = await post({ runs: [{ action: sh('printf %s "$TOKEN_OF_MINE" | wc -c', { env }) }] });
    await over(sent.body.id);
    const [run] = await runsOf(sent.body.id);
    expect((await outputOf(olga, run!.id)).trim()).toBe(String(secret.length));
    expect(run!.action).toMatchObject({ env: { TOKEN_OF_MINE: { secret: true }, PLAIN: 'shown' } });
    const texts = [
      sent,
      await olga.get(`/api/v1/runs?batch=${sent.body.id}`),
      await admin.get('/api/v1/events?limit=1000'),
    ];
    for (const { text } of texts) expect(text).not.toContain(secret);
  });
});

describe('all or none', () => {
  const good = (size: number): object[] => Array.from({ length: size }, () => ({ action: noop }));
  const with17 = (bad: unknown) => ({ runs: good(40).with(17, bad as object) });

  test.each<[string, object, string]>([
    ['a run without an action', with17({}), 'runs.17.action'],
    ['an unknown kind', with17({ action: { kind: 'nothing' } }), 'runs.17.action.kind'],
    ['neither command nor shell', with17({ action: { kind: 'command' } }), 'runs.17.action'],
    ['an empty program', with17({ action: { kind: 'command', command: [''] } }), 'runs.17.action.command.0'],
    ['a policy that is none', with17({ action: noop, policies: { priority: 11 } }), 'runs.17.policies.priority'],
    ['an unknown field of a run', with17({ action: noop, parameters: {} }), 'runs.17'],
    ['an unknown field', { ...with17({ action: noop }), description: 'x' }, ''],
    ['no runs', {}, 'runs'],
    ['an empty list of runs', { runs: [] }, 'runs'],
    ['10,001 runs', { runs: good(10_001) }, 'runs'],
    ['an empty name', { name: '', runs: good(1) }, 'name'],
  ])('%s is 422 with its place, and nothing is written', async (_, body, path) => {
    const before = await headOf(admin);
    const answer = await post(body);
    expect([answer.status, answer.body.errors.map((error) => error.path)]).toEqual([422, [path]]);
    expect(answer.body.code).toBe('MALFORMED');
    expect(await headOf(admin)).toBe(before);
  });

  test('a repeat by key is the same batch; another body is 422', async () => {
    const keyed = (body: object) => post(body, olga, { 'idempotency-key': 'native-batch' });
    const answers = await Promise.all(Array.from({ length: 5 }, () => keyed({ runs: good(20) })));
    expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map(() => [202, answers[0]!.body]));
    const before = await headOf(admin);
    expect((await keyed({ runs: good(21) })).body).toMatchObject({ status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await headOf(admin)).toBe(before);
    expect(await shown(answers[0]!.body.id)).toMatchObject({ total: 20 });
  });
});

describe('who may', () => {
  test('the role user: noops of his own; one command among them is 403, and nothing is written', async () => {
    const mine = await make([{ action: noop }, { action: noop }], {}, user);
    expect(mine).toMatchObject({ total: 2, counts: { succeeded: 2 } });
    expect(await shown(mine.id, user)).toEqual(mine);
    const before = await headOf(admin);
    for (const runs of [[{ action }], [{ action: noop }, { action }, { action: noop }]]) {
      const { status, body } = await post({ runs }, user);
      expect([status, body.code, body.detail]).toEqual([403, 'FORBIDDEN', expect.stringContaining('command')]);
    }
    expect(await headOf(admin)).toBe(before);
  });

  test('a viewer runs nothing; without a token it is 401', async () => {
    const before = await headOf(admin);
    expect((await post({ runs: [{ action: noop }] }, viewer)).status).toBe(403);
    const anyone = new Client(stack.url);
    for (const answer of [
      await post({ runs: [{ action: noop }] }, anyone),
      await anyone.get(`/api/v1/batches/${missing}`),
    ]) {
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    }
    expect(await headOf(admin)).toBe(before);
  });

  test('operators, viewers and admins read all; for a user another’s is as missing as one that never was', async () => {
    const made = await make([{ action: noop }]);
    for (const by of [viewer, admin, olga]) expect(await shown(made.id, by)).toEqual(made);
    const [hidden, never, word] = [await read(made.id, user), await read(missing, user), await read('7', user)];
    const { correlationId: _, ...body } = never;
    expect(body).toMatchObject({ status: 404, code: 'BATCH_NOT_FOUND' });
    expect([hidden, word]).toEqual([expect.objectContaining(body), expect.objectContaining(body)]);
  });
});

test('they are the same batches as those of jobs: read, joined, cancelled and deleted there', async () => {
  const jobs = '/api/v1/job-batches';
  const submitted = { name: 'of jobs', description: 'there', jobs: [{ command: ['sleep', '300'] }] };
  const { id } = (await olga.post<{ id: string }>(jobs, submitted)).body;
  expect(await shown(id)).toMatchObject({ id, name: 'of jobs', description: 'there', total: 1, finished: false });
  const made = await make(
    [
      { name: 'sleeps', action: sh('sleep 300') },
      { name: 'nothing', action: noop },
    ],
    { name: 'of runs' },
  );
  const there = await olga.get<{ jobs: { name: string; command: string[] }[] }>(`${jobs}/${made.id}`);
  expect([there.status, there.body]).toEqual([
    200,
    expect.objectContaining({ id: made.id, name: 'of runs', total_jobs: 2, success_count: 1 }),
  ]);
  expect(there.body.jobs.map(({ name, command }) => [name, command])).toEqual([
    ['sleeps', ['/bin/sh', '-c', 'sleep 300']],
    ['nothing', ['noop']],
  ]);
  for (const batch of [id, made.id]) {
    expect((await olga.post(`${jobs}/${batch}/cancel`)).status).toBe(202);
    expect((await over(batch)).counts['cancelled']).toBe(1);
    const [run] = await runsOf(batch);
    expect(await ended(olga, run!)).toMatchObject({ status: 'cancelled' });
    expect((await olga.call('DELETE', `${jobs}/${batch}`)).status).toBe(200);
    expect(await read(batch)).toMatchObject({ status: 404, code: 'BATCH_NOT_FOUND' });
    expect(await runsOf(batch)).toEqual([]);
  }
});
