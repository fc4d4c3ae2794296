import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, eventually, sharedStack, type Client, type Stack } from '#testing';
import {
  define,
  ended,
  eventsOf,
  noop,
  outputOf,
  reaches,
  requestRun,
  runToEnd,
  sh,
  started,
  type List,
  type Problem,
  type Run,
} from './native.harness.js';

let stack: Stack;
let admin: Client;
let me: string;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  me = (await admin.get<{ id: string }>('/api/v1/me')).body.id;
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const missing = '01890000-0000-7000-8000-000000000000';

describe('POST /runs', () => {
  test('202 with the run, then its whole life', async () => {
    const action = { kind: 'command', command: ['sh', '-c', 'echo hello; echo oops >&2'] };
    const answer = await admin.post<Run>('/api/v1/runs', { name: 'greet', action, policies: { priority: 8 } });
    expect(answer.status).toBe(202);
    const queued = answer.body;
    expect(queued).toEqual({
      ...{ id: expect.any(String), number: expect.any(Number), name: 'greet', process: null, action, status: 'queued' },
      ...{ reason: null, attempt: 0, priority: 8, owner: me, batch: null, server: null, scheduled: false },
      ...{ scheduledFor: null, requestedAt: expect.stringMatching(instant), startedAt: null, finishedAt: null },
      ...{ durationMs: null, exitCode: null, signal: null, ops: 0, progress: null, message: null, output: null },
    });
    const done = await ended(admin, queued);
    expect(done).toEqual({
      ...queued,
      ...{ status: 'succeeded', attempt: 1, server: expect.stringMatching(/./), exitCode: 0 },
      ...{ startedAt: expect.stringMatching(instant), finishedAt: expect.stringMatching(instant) },
      durationMs: Date.parse(done.finishedAt!) - Date.parse(done.startedAt!),
      output: { bytes: 11, stored: 11, truncated: false, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    });
  });

  test('a run without a name is called by its kind; a noop does nothing and succeeds', async () => {
    expect(await runToEnd(admin, noop)).toMatchObject({ name: 'noop', status: 'succeeded', exitCode: 0 });
  });

  test.each<[string, object, string]>([
    ['neither command nor shell', { action: { kind: 'command' } }, 'action'],
    ['both', { action: { kind: 'command', command: ['x'], shell: 'x' } }, 'action'],
    ['an empty program', { action: { kind: 'command', command: [''] } }, 'action.command.0'],
    ['a variable that changes the loader', { action: sh('x', { env: { LD_PRELOAD: 'x' } }) }, 'action.env.LD_PRELOAD'],
    ['an unknown field', { action: noop, nmae: 'x' }, ''],
    ['an unknown field of the action', { action: sh('x', { user: 'root' }) }, 'action'],
  ])('%s is refused', async (_, body, path) => {
    const answer = await admin.post<Problem>('/api/v1/runs', body);
    expect([answer.status, answer.body.errors[0]?.path]).toEqual([422, path]);
  });

  test.each<[string, string | undefined, Record<string, string>, number]>([
    ['no JSON', '{"action":', {}, 422],
    ['a list', '[]', {}, 422],
    ['text', 'action', { 'content-type': 'text/plain' }, 415],
    ['nothing', undefined, {}, 422],
    ['more than a body may be', `{"name":"${'x'.repeat(1_100_000)}"}`, {}, 413],
    ['too deep', `{"parameters":{"a":${'['.repeat(100)}${']'.repeat(100)}}}`, {}, 422],
  ])('%s is a problem document', async (_, text, headers, status) => {
    const answer = await admin.post<Problem>('/api/v1/runs', text, headers);
    expect([answer.status, answer.body.status]).toEqual([status, status]);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  });

  test('half a character in a free value hurts nobody', async () => {
    const { status } = await admin.post('/api/v1/runs', `{"action":{"kind":"noop"},"parameters":{"a":"\\ud83d"}}`);
    expect([202, 422]).toContain(status);
  });
});

describe('GET /runs', () => {
  const list = async (query: string) => {
    const { status, body } = await admin.get<List<Run>>(`/api/v1/runs?${query}`);
    expect(status).toBe(200);
    return body;
  };
  const ids = ({ items }: List<Run>) => items.map(({ id }) => id);

  test('newest first, page by page, each once, of one process', async () => {
    const process = await define(admin, { name: 'listed' });
    const made: string[] = [];
    for (let i = 0; i < 7; i++) {
      made.unshift((await admin.post<Run>(`/api/v1/processes/${process.id}/run`, {})).body.id);
    }
    const found: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: List<Run> = await list(`process=${process.id}&limit=3${cursor && `&cursor=${cursor}`}`);
      found.push(...ids(page));
      cursor = page.next;
    }
    expect(found).toEqual(made);
  });

  test('by status, owner, server and time', async () => {
    const before = new Date().toISOString();
    const good = await runToEnd(admin, noop);
    const bad = await runToEnd(admin, sh('exit 3'));
    const both = [bad.id, good.id];
    const since = `from=${before}`;
    expect(ids(await list(since))).toEqual(both);
    expect(ids(await list(`${since}&status=failed`))).toEqual([bad.id]);
    expect(ids(await list(`${since}&status=succeeded`))).toEqual([good.id]);
    expect(ids(await list(`${since}&owner=${me}`))).toEqual(both);
    expect(ids(await list(`${since}&owner=${missing}`))).toEqual([]);
    expect(ids(await list(`${since}&server=${bad.server}`))).toEqual(both);
    expect(ids(await list(`${since}&server=elsewhere`))).toEqual([]);
    expect(ids(await list(`${since}&batch=${missing}`))).toEqual([]);
    expect(ids(await list(`${since}&to=${bad.requestedAt}`))).toEqual([good.id]);
    expect(ids(await list(`from=${encodeURIComponent(before.replace('Z', '+00:00'))}`))).toEqual(both);
  });

  test.each(['status=done', 'process=x', 'from=yesterday', 'limit=0', 'cursor=x', 'batch=7'])(
    '%s is refused',
    async (query) => {
      expect((await admin.get<Problem>(`/api/v1/runs?${query}`)).body).toMatchObject({
        status: 422,
        code: expect.any(String),
      });
    },
  );

  test.each(['', '/events', '/output'])('an unknown run: GET {id}%s is 404', async (path) => {
    for (const id of [missing, 'x', '1']) {
      const { status, body } = await admin.get<Problem>(`/api/v1/runs/${id}${path}`);
      expect([status, body.code]).toEqual([404, 'RUN_NOT_FOUND']);
    }
  });
});

test('GET /runs/{id}/events: oldest first, in the stream of the run, page by page', async () => {
  const { id } = await runToEnd(admin, noop);
  const events = await eventsOf(admin, id);
  expect(events.map(({ type, version, stream }) => [type, version, stream])).toEqual([
    ['RunRequested', 1, `run-${id}`],
    ['RunStarted', 2, `run-${id}`],
    ['RunSucceeded', 3, `run-${id}`],
  ]);
  expect(events[0]!.meta).toMatchObject({ actor: me, at: expect.stringMatching(instant) });
  const first = (await admin.get<List<object>>(`/api/v1/runs/${id}/events?limit=2`)).body;
  const second = (await admin.get<List<object>>(`/api/v1/runs/${id}/events?limit=2&cursor=${first.next}`)).body;
  expect([...first.items, ...second.items]).toEqual(events);
  // Here `after` is what to wait for, not where to start.
  const { body } = await admin.get<List<object>>(`/api/v1/runs/${id}/events?after=${events[2]!.position}`);
  expect(body.items).toEqual(events);
});

describe('what a command is given', () => {
  test('PATH, HOME, LANG, TZ, RUNLEDGER_* and its own env: nothing else', async () => {
    const run = await runToEnd(admin, { kind: 'command', command: ['/usr/bin/env'], env: { MODE: 'a b', LANG: 'C' } });
    const lines = (await outputOf(admin, run.id)).trim().split('\n');
    const env = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s, 2) as [string, string]));
    const { PATH, HOME, TZ: _, ...rest } = env;
    expect(rest).toEqual({ LANG: 'C', MODE: 'a b', RUNLEDGER_RUN_ID: run.id, RUNLEDGER_ATTEMPT: '1' });
    expect([PATH, HOME]).toEqual([expect.stringMatching(/./), expect.stringMatching(/^\//)]);
  });

  test('a run of a process knows its name, a scheduled one its instant', async () => {
    const action = sh('echo "$RUNLEDGER_PROCESS at $RUNLEDGER_SCHEDULED_FOR"');
    const { id } = await define(admin, { name: 'Täglich', action, triggers: [{ cron: '* * * * * *' }] });
    const fired = await eventually('a fire', async () =>
      (await admin.get<List<Run>>(`/api/v1/runs?process=${id}`)).body.items.at(-1),
    );
    await admin.call('DELETE', `/api/v1/processes/${id}`);
    const run = await ended(admin, fired);
    expect(run).toMatchObject({
      scheduled: true,
      scheduledFor: expect.stringMatching(/:\d\d\.000Z$/),
      status: 'succeeded',
    });
    expect(await outputOf(admin, run.id)).toBe(`Täglich at ${run.scheduledFor}\n`);
  });

  test('exact arguments, and its own directory', async () => {
    const command = ['printf', '%s|', 'two words', '', '🐘', "'; rm -rf /", '$HOME'];
    const run = await runToEnd(admin, { kind: 'command', command });
    expect(await outputOf(admin, run.id)).toBe("two words||🐘|'; rm -rf /|$HOME|");
    const there = await runToEnd(admin, sh('pwd', { cwd: '/usr' }));
    expect(await outputOf(admin, there.id)).toBe('/usr\n');
  });

  test('##runledger lines become progress, work items and a message, and leave the output', async () => {
    const line = (data: object) => `echo '##runledger ${JSON.stringify(data)}'`;
    const steps = [
      'echo before',
      line({ progress: 40, ops: 81, message: 'half' }),
      'echo after',
      line({ progress: 100 }),
    ];
    const run = await runToEnd(admin, sh(steps.join('; ')));
    expect(run).toMatchObject({ status: 'succeeded', progress: 100, ops: 81, message: 'half' });
    expect(await outputOf(admin, run.id)).toBe('before\nafter\n');
    expect((await eventsOf(admin, run.id)).map(({ type }) => type)).toContain('RunProgressed');
  });
});

describe('how it ended', () => {
  test.each<[string, object, object]>([
    ['an exit code', sh('exit 3'), { exitCode: 3, signal: null, reason: 'exit code 3' }],
    ['143 is an exit code', sh('exit 143'), { exitCode: 143, signal: null }],
    ['a signal leaves no exit code', sh('kill -TERM $$'), { exitCode: null, signal: 'SIGTERM' }],
    [
      'no such command',
      { kind: 'command', command: ['no-such-command'] },
      { reason: expect.stringContaining('no-such-command') },
    ],
    ['no such directory', sh('true', { cwd: '/no/such/dir' }), { reason: expect.stringContaining('/no/such/dir') }],
  ])('%s', async (_, action, expected) => {
    expect(await runToEnd(admin, action)).toMatchObject({ status: 'failed', attempt: 1, ...expected });
  });
});

describe('POST /runs/{id}/cancel', () => {
  const cancel = (id: string, body: object = {}) =>
    admin.post<{ id: string; code: string }>(`/api/v1/runs/${id}/cancel`, body);

  test('a running one, with everything that it started', async () => {
    const script = '(trap "" TERM; exec sleep 300) & echo $!; setsid sh -c \'echo $$; exec sleep 300\' & echo $$; wait';
    const run = await requestRun(admin, sh(script));
    const pids = await eventually('three pids', async () => {
      const lines = (await outputOf(admin, run.id)).trim().split('\n');
      return lines.length === 3 && lines.map(Number);
    });
    expect(pids.filter(isAlive)).toEqual(pids);
    const answer = await cancel(run.id, { reason: 'not today' });
    expect([answer.status, answer.body.id]).toEqual([202, run.id]);
    const done = await ended(admin, run);
    expect(done).toMatchObject({ status: 'cancelled', reason: 'not today', exitCode: null });
    expect(pids.filter(isAlive)).toEqual([]);
    const events = await eventsOf(admin, run.id);
    expect(events.slice(2).map(({ type, data }) => [type, data.by])).toEqual([
      ['RunCancelRequested', me],
      ['RunCancelled', me],
    ]);
  });

  test('a waiting one, at once', async () => {
    const retry = { attempts: 2, delay: '1h' };
    const run = await requestRun(admin, sh('exit 1'), { policies: { retry } });
    await reaches(admin, run.id, ({ attempt, status }) => attempt === 1 && status === 'queued');
    expect((await cancel(run.id)).body).toMatchObject({ status: 'cancelled', attempt: 1 });
  });

  test('an ended one is 409, an unknown one 404, an unknown field 422', async () => {
    const { id } = await runToEnd(admin, noop);
    const late = await cancel(id);
    expect([late.status, late.body.code]).toEqual([409, 'RUN_OVER']);
    expect((await cancel(missing)).status).toBe(404);
    expect((await cancel(id, { why: 'x' })).status).toBe(422);
  });

  test('twice is once', async () => {
    const run = await requestRun(admin, sh('sleep 300'));
    await started(admin, run);
    const answers = await Promise.all([cancel(run.id), cancel(run.id), cancel(run.id)]);
    expect(answers.map(({ status }) => status).filter((status) => status !== 202 && status !== 409)).toEqual([]);
    await ended(admin, run);
    const types = (await eventsOf(admin, run.id)).map(({ type }) => type);
    expect(types.filter((type) => type === 'RunCancelRequested')).toHaveLength(1);
  });
});

describe('POST /runs/{id}/retry', () => {
  test('runs the same again as a new run; the old one must be over', async () => {
    const gate = path.join(stack.dataDir, 'gate');
    const action = sh(`until [ -e ${gate} ]; do sleep 0.05; done; exit 5`);
    const process = await define(admin, { name: 'again', action });
    const { body: first } = await admin.post<Run>(`/api/v1/processes/${process.id}/run`, {});
    const early = await admin.post<Problem>(`/api/v1/runs/${first.id}/retry`);
    expect([early.status, early.body.code]).toEqual([409, 'RUN_NOT_OVER']);
    writeFileSync(gate, '');
    const old = await ended(admin, first);
    const { status, body: again } = await admin.post<Run>(`/api/v1/runs/${first.id}/retry`, {});
    expect(status).toBe(202);
    expect(again).toMatchObject({
      name: 'again',
      process: old.process,
      action: old.action,
      status: 'queued',
      attempt: 0,
    });
    expect(again.id).not.toBe(first.id);
    expect(await ended(admin, again)).toMatchObject({ status: 'failed', exitCode: 5 });
    expect(await ended(admin, first)).toEqual(old);
    expect((await eventsOf(admin, again.id))[0]!.data).toMatchObject({ retryOf: first.id });
  });
});

/** A zombie is not: only its parent has not been told yet. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
