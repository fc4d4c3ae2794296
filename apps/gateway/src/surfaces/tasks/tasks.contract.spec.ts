import { setTimeout as sleep } from 'node:timers/promises';
import { adminOf, Client, eventually, sharedStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { expectRefusal, headOf } from '../../refused.harness.js';
import {
  executionsOf,
  makeTask,
  missing,
  printed,
  runToEnd,
  trigger,
  type Both,
  type Task,
  type TaskRefusal,
} from './tasks.harness.js';

let stack: Stack;
let admin: Client;
let olga: Client;
let vera: Client;
let ulf: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  olga = await newcomer(stack, 'olga-tasks', 'operator');
  vera = await newcomer(stack, 'vera-tasks', 'viewer');
  ulf = await newcomer(stack, 'ulf-tasks', 'user');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const text = (pattern: RegExp) => expect.stringMatching(pattern) as string;
const time = text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const outputOf = async (task: Task, by = admin) => printed(admin, (await runToEnd(by, task)).id);
const list = async (by: Client) => (await by.get<{ tasks: Task[] }>('/api/tasks')).body.tasks;

describe('Task Management', () => {
  test('POST /api/tasks: the document’s example', async () => {
    const sent = {
      name: 'Weekly Report',
      description: 'Generate weekly summary',
      command: 'generate_report',
      args: '{"format": "pdf"}',
      schedule: '0 9 * * 1',
      priority: 'default',
      notifyOn: 'completion',
    };
    const { status, body } = await admin.post<{ task: Task }>('/api/tasks', sent);
    expect([status, body]).toEqual([
      201,
      {
        task: {
          ...sent,
          id: text(/^[\w-]{10,}$/),
          enabled: true,
          timezone: 'UTC',
          lastRun: null,
          nextRun: time,
          createdAt: time,
          updatedAt: time,
        },
      },
    ]);
    const next = new Date(body.task.nextRun!);
    expect([next.getUTCDay(), next.getUTCHours(), next.getUTCMinutes()]).toEqual([1, 9, 0]);
    expect((await admin.get(`/api/tasks/${body.task.id}`)).body).toEqual({ ...body.task, task: body.task });
    expect((await list(admin))[0]).toEqual(body.task);
  });

  test('what is left out has the defaults of the document', async () => {
    const task = await makeTask(admin, { name: 'bare' });
    expect(task).toMatchObject({ description: null, args: '{}', schedule: null, enabled: true, nextRun: null });
    expect(task).toMatchObject({ priority: 'default', notifyOn: 'completion,error', timezone: 'UTC', lastRun: null });
  });

  test('GET /api/tasks: newest created first, all of them', async () => {
    const made: string[] = [];
    for (let n = 0; n < 3; n++) made.unshift((await makeTask(olga, { name: `n${n}` })).id);
    expect((await list(olga)).map(({ id }) => id).slice(0, 3)).toEqual(made);
  });

  test('PUT /api/tasks/[id]: the document’s example; what is left out stays', async () => {
    const task = await makeTask(admin, { schedule: '0 9 * * 1', priority: 'urgent', args: '["x"]', notifyOn: 'start' });
    const change = { name: 'Updated Name', enabled: false, schedule: '0 10 * * *' };
    const { status, body } = await admin.call<Both>('PUT', `/api/tasks/${task.id}`, change);
    const after = { ...task, ...change, nextRun: null, updatedAt: time };
    expect([status, body]).toEqual([200, { ...after, task: after }]);
    const patched = await admin.call<Both>('PATCH', `/api/tasks/${task.id}`, { enabled: true });
    expect(patched.body).toMatchObject({ name: 'Updated Name', enabled: true, priority: 'urgent', nextRun: time });
  });

  test('the whole task may be sent back as it was read: nothing changes, nothing is written', async () => {
    const task = await makeTask(admin, { schedule: '0 9 * * 1', notifyOn: 'always', description: 'd' });
    const before = await headOf(admin);
    const { status, body } = await admin.call<Both>('PUT', `/api/tasks/${task.id}`, task);
    expect([status, body.task]).toEqual([200, task]);
    expect(await headOf(admin)).toBe(before);
  });

  test('two who change different things at once both succeed', async () => {
    const task = await makeTask(admin);
    const changes = [{ name: 'a' }, { command: 'echo b' }, { args: '["c"]' }, { schedule: '0 4 * * *' }];
    const answers = await Promise.all(changes.map((change) => admin.call('PUT', `/api/tasks/${task.id}`, change)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const { body } = await admin.get<Both>(`/api/tasks/${task.id}`);
    expect(body.task).toMatchObject({ name: 'a', command: 'echo b', args: '["c"]', schedule: '0 4 * * *' });
    expect(await outputOf(task)).toBe('b c\n');
  });

  test('DELETE /api/tasks/[id]', async () => {
    const task = await makeTask(admin, { schedule: '0 9 * * 1' });
    const { status, body } = await admin.call('DELETE', `/api/tasks/${task.id}`);
    expect([status, body]).toEqual([200, { success: true }]);
    expectRefusal('tasks', 404, await admin.get(`/api/tasks/${task.id}`));
    expectRefusal('tasks', 404, await admin.call('DELETE', `/api/tasks/${task.id}`));
    expect((await list(admin)).map(({ id }) => id)).not.toContain(task.id);
  });

  test('a task that is made disabled never was enabled', async () => {
    const task = await makeTask(admin, { enabled: false, schedule: '* * * * * *' });
    expect([task.enabled, task.nextRun]).toEqual([false, null]);
    const { body } = await admin.get<{ items: { type: string }[] }>(`/api/v1/events?stream=process-${task.id}`);
    expect(body.items.map(({ type }) => type)).toEqual(['ProcessDefined', 'ProcessDisabled']);
    expect(await executionsOf(admin, task)).toEqual([]);
  });
});

describe('what is said comes back as it was said', () => {
  test.each([
    [{ args: ' {"a":  1} ', command: '  echo   x ' }],
    [{ args: 'free text "two words"' }],
    [{ args: '' }],
    [{ schedule: '@manual' }],
    [{ schedule: null }],
    [{ schedule: '' }],
    [{ schedule: '@daily', timezone: 'Europe/Vienna' }],
    [{ schedule: '*/5 * * * * *' }],
    [{ schedule: null, timezone: 'Asia/Tokyo' }],
    [{ priority: 'low' }],
    [{ priority: 'high' }],
    [{ priority: 'urgent', notifyOn: 'never' }],
    [{ notifyOn: 'start,always' }],
    [{ notifyOn: '' }],
    [{ description: '' }],
    [{ name: 'n'.repeat(100), description: 'd'.repeat(500) }],
  ])('%j', async (words) => {
    const task = await makeTask(admin, words);
    expect(task).toMatchObject(words);
    expect(task.nextRun === null).toBe(!('schedule' in words) || !words.schedule || words.schedule === '@manual');
  });

  test('priority and notifyOn are policies of the process', async () => {
    const { id } = await makeTask(admin, { priority: 'high', notifyOn: 'error, start' });
    const { body } = await admin.get<{ policies: object }>(`/api/v1/processes/${id}`);
    expect(body.policies).toEqual({ priority: 8, notify: { on: ['error', 'start'] } });
  });

  test('a definition that is changed elsewhere is told in words that mean the same', async () => {
    const { id } = await makeTask(admin, { command: 'echo', args: '["a b"]' });
    const action = { kind: 'command', command: ['printf', '%s-%s', 'c d', "it's"], cwd: '/tmp' };
    await admin.call('PATCH', `/api/v1/processes/${id}`, { revision: 1, action, policies: { priority: 7 } });
    const { body } = await admin.get<Both>(`/api/tasks/${id}`);
    expect(body.task).toMatchObject({ command: `printf %s-%s 'c d' 'it'\\''s'`, args: '{}', priority: 'high' });
    const changed = await admin.call<Both>('PUT', `/api/tasks/${id}`, { command: 'pwd' });
    expect(changed.body.command).toBe('pwd');
    expect(await outputOf(changed.body.task)).toBe('/tmp\n');
  });

  test('the viewer knows it by the same name', async () => {
    await makeTask(admin, { name: 'seen by the viewer', schedule: '0 3 * * *' });
    const { body } = await admin.get<{ cron_expr: string }[]>('/api/processes?q=seen%20by%20the%20viewer');
    expect(body).toMatchObject([{ name: 'seen by the viewer', schedule: 'Enabled', cron_expr: '0 3 * * *' }]);
  });
});

describe('what runs', () => {
  const show = `printf '[%s]'`;
  test.each([
    [
      'an object: one --key=value each',
      '{"format": "pdf", "n": 3, "q": "a b; $HOME"}',
      '[--format=pdf][--n=3][--q=a b; $HOME]',
    ],
    ['an array: its items', '["-v", "two words", "", "$(id)"]', '[-v][two words][][$(id)]'],
    ['other text: its words', `-v "two words" 'it is' a\\ b`, '[-v][two words][it is][a b]'],
    ['nothing', '{}', '[]'],
  ])('args that are %s', async (_, args, output) => {
    expect(await outputOf(await makeTask(olga, { command: show, args }), olga)).toBe(output);
  });

  test('the command is a line for the shell', async () => {
    expect(await outputOf(await makeTask(admin, { command: 'echo one && echo two | tr t T' }))).toBe('one\nTwo\n');
  });

  test('an execution’s end', async () => {
    const good = await makeTask(admin, { command: 'true' });
    const execution = await runToEnd(admin, good);
    expect(execution).toEqual({
      ...{ id: text(/./), taskId: good.id, status: 'completed', progress: 100, error: null, exitCode: 0 },
      ...{ startedAt: time, completedAt: time, duration: expect.any(Number) as number, createdAt: time },
    });
    expect((await admin.get<Both>(`/api/tasks/${good.id}`)).body.lastRun).toBe(execution.startedAt);
    const bad = await runToEnd(admin, await makeTask(admin, { command: 'exit 3' }));
    expect(bad).toMatchObject({ status: 'failed', exitCode: 3, error: text(/3/) });
  });

  test('it runs by its schedule while it is enabled', async () => {
    const task = await makeTask(admin, { schedule: '* * * * * *' });
    expect(Date.parse(task.nextRun!) - Date.now()).toBeLessThan(2_000);
    await eventually('two executions', async () => (await executionsOf(admin, task)).length >= 2);
    const { body } = await admin.call<Both>('PUT', `/api/tasks/${task.id}`, { enabled: false });
    expect([body.enabled, body.nextRun, body.lastRun]).toEqual([false, null, time]);
    const before = (await executionsOf(admin, task)).length;
    await sleep(2_500);
    expect(await executionsOf(admin, task)).toHaveLength(before);
  });

  test('executions: newest first, and cut when asked', async () => {
    const task = await makeTask(admin);
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.unshift(await trigger(admin, task));
    expect((await executionsOf(admin, task)).map(({ id }) => id)).toEqual(ids);
    const { body } = await admin.get<{ executions: object[] }>(`/api/tasks/${task.id}/executions?limit=2`);
    expect(body.executions).toHaveLength(2);
  });
});

describe('Python Backend Endpoints', () => {
  test('POST /execute-task answers at once', async () => {
    const task = await makeTask(admin, { command: 'sleep 20', enabled: false });
    const began = performance.now();
    const { status, body } = await admin.post<{ execution_id: string }>('/execute-task', { task_id: task.id });
    expect(performance.now() - began).toBeLessThan(15_000);
    expect([status, body]).toEqual([200, { execution_id: text(/^[\w-]{10,}$/), status: 'started' }]);
    expect((await executionsOf(admin, task))[0]!.id).toBe(body.execution_id);
    await admin.post(`/api/v1/runs/${body.execution_id}/cancel`, {});
  });

  test('a repeat with the same Idempotency-Key is one execution', async () => {
    const task = await makeTask(admin);
    const run = () => admin.post('/execute-task', { task_id: task.id }, { 'idempotency-key': `once-${task.id}` });
    const [first, second] = [await run(), await run()];
    expect(second.body).toEqual(first.body);
    expect(await executionsOf(admin, task)).toHaveLength(1);
  });

  test('GET /health: status and services only', async () => {
    const { status, body } = await new Client(stack.url).get('/health');
    const claude_code = text(/^(un)?available$/);
    const services = { database: 'connected', scheduler: 'running', claude_code };
    expect([status, body]).toEqual([200, { status: 'healthy', services }]);
  });
});

describe('who may what', () => {
  test('a viewer and a user define and run no commands', async () => {
    const task = await makeTask(admin);
    for (const someone of [vera, ulf]) {
      expectRefusal('tasks', 403, await someone.post('/api/tasks', { name: 'x', command: 'true' }));
      expectRefusal('tasks', 403, await someone.call('PUT', `/api/tasks/${task.id}`, { name: 'x' }));
      expectRefusal('tasks', 403, await someone.post('/execute-task', { task_id: task.id }));
      expect(await list(someone)).toEqual([]);
    }
  });

  test('another’s task is as missing as one that never was; admins see all', async () => {
    const task = await makeTask(admin, { name: 'of the admin' });
    const hers = await makeTask(olga, { name: 'of olga' });
    const asks: [string, string, object?][] = [
      ['GET', ''],
      ['PUT', '', { name: 'taken' }],
      ['PATCH', '', { name: 'taken' }],
      ['DELETE', ''],
      ['POST', '/trigger'],
      ['GET', '/executions'],
    ];
    for (const [method, rest, body] of asks) {
      const hidden = await olga.call(method, `/api/tasks/${task.id}${rest}`, body);
      const never = await olga.call(method, `/api/tasks/${missing}${rest}`, body);
      expect([method, hidden.status, hidden.text]).toEqual([method, 404, never.text]);
    }
    expect((await olga.post('/execute-task', { task_id: task.id })).status).toBe(404);
    expect((await list(olga)).map(({ name }) => name)).not.toContain('of the admin');
    expect((await list(admin)).map(({ id }) => id)).toEqual(expect.arrayContaining([task.id, hers.id]));
    expect((await admin.get<Both>(`/api/tasks/${hers.id}`)).body.name).toBe('of olga');
  });
});

describe('Error Responses', () => {
  test('the document’s form, with the places that are wrong', async () => {
    const { body } = await admin.post<TaskRefusal>('/api/tasks', { name: '', command: 'x', priority: 'max' });
    expect(body.error).toMatchObject({ code: 'VALIDATION_ERROR', message: text(/./) });
    expect(body.error.details.issues!.map(({ path }) => path)).toEqual(['name', 'priority']);
  });

  test.each([
    [{ schedule: '61 * * * *' }, 'schedule', /61|minute/i],
    [{ schedule: '0 0 30 2 *' }, 'schedule', /never/i],
    [{ schedule: `${'0,'.repeat(146)}0 * * * *` }, 'schedule', /./],
    [{ schedule: '0 3 * * *', timezone: 'Mars/Olympus' }, 'timezone', /zone|IANA/i],
    [{ args: 'an "open quote' }, 'args', /open/],
    [{ notifyOn: 'completion,sometimes' }, 'notifyOn', /sometimes/],
  ])('%j says what is wrong with %s', async (fault, path, reason) => {
    const { status, body } = await admin.post<TaskRefusal>('/api/tasks', { name: 'x', command: 'true', ...fault });
    expect([status, body.error.details.issues?.[0]]).toEqual([422, { path, message: text(reason) }]);
  });
});
