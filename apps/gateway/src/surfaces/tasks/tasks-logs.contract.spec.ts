import { adminOf, eventually, sharedStack, type Client, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { expectRefusal } from '../../refused.harness.js';
import { type ActivityLog } from './logs.shapes.js';
import { makeTask, runToEnd, trigger, type Task } from './tasks.harness.js';

interface Logs {
  logs: ActivityLog[];
  total: number;
}

let stack: Stack;
let admin: Client;
let nora: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  nora = await newcomer(stack, 'nora-logs', 'operator');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const logs = async (by: Client, query = ''): Promise<Logs> => (await by.get<Logs>(`/api/logs${query}`)).body;

/** Entries of one task, newest first. */
const about = async ({ id }: Task, by = admin) =>
  (await logs(by, '?limit=1000')).logs.filter(({ taskId }) => taskId === id);

/** Waits until the newest entry is of this type. */
const until = (task: Task, type: string, by = admin) =>
  eventually(`an entry ${type}`, async () => {
    const found = await about(task, by);
    return found[0]?.type === type && found;
  });

describe('Activity Logs', () => {
  test('GET /api/logs: the document’s entry, metadata as JSON text', async () => {
    const task = await makeTask(admin, { name: 'Daily Backup', command: 'sleep 0.05' });
    const execution = await runToEnd(admin, task);
    const [entry] = await until(task, 'task_complete');
    expect(entry).toEqual({
      id: expect.stringMatching(/./) as string,
      type: 'task_complete',
      message: "Task 'Daily Backup' completed successfully",
      metadata: expect.stringMatching(/^\{.*\}$/) as string,
      createdAt: execution.completedAt,
      executionId: execution.id,
      taskId: task.id,
    });
    const metadata = JSON.parse(entry!.metadata) as object;
    expect(metadata).toMatchObject({ duration: execution.duration, exit_code: 0 });
    expect(execution.duration).toBeGreaterThanOrEqual(50);
  });

  test('the life of a task: created, changed, run, failed, tried again, deleted', async () => {
    const task = await makeTask(admin, { command: 'exit 3' });
    await admin.call('PUT', `/api/tasks/${task.id}`, { priority: 'low', enabled: false });
    const { body } = await admin.get<{ revision: number; policies: object }>(`/api/v1/processes/${task.id}`);
    const policies = { ...body.policies, retry: { attempts: 2 } };
    await admin.call('PATCH', `/api/v1/processes/${task.id}`, { revision: body.revision, policies });
    await runToEnd(admin, task);
    await eventually(
      'both attempts',
      async () => (await about(task)).filter((e) => e.type === 'task_error').length === 2,
    );
    await admin.call('DELETE', `/api/tasks/${task.id}`);
    const entries = await until(task, 'task_deleted');
    expect(entries.map(({ type }) => type).reverse()).toEqual([
      ...['task_created', 'task_updated', 'task_updated', 'task_updated'],
      ...['task_start', 'task_error', 'task_retry', 'task_start', 'task_error', 'task_deleted'],
    ]);
    const failed = entries.find(({ type }) => type === 'task_error')!;
    expect(JSON.parse(failed.metadata)).toMatchObject({ exit_code: 3, attempt: 2 });
    expect(failed.message).toMatch(/^Task 'a task' failed: .*3/);
  });

  test('one reads what he has just done', async () => {
    for (let n = 0; n < 5; n++) {
      const { id } = await makeTask(nora, { name: `at once ${n}` });
      expect((await logs(nora, '?limit=1')).logs[0]).toMatchObject({ type: 'task_created', taskId: id });
    }
  });

  test('limit, offset, type; total counts what there is beyond the page', async () => {
    const all = await logs(nora);
    expect(all.total).toBe(all.logs.length);
    expect(all.total).toBeGreaterThanOrEqual(5);
    const second = await logs(nora, '?limit=2&offset=1');
    expect(second).toEqual({ logs: all.logs.slice(1, 3), total: all.total });
    const created = await logs(nora, '?type=task_created&limit=1');
    expect(created.total).toBe(all.logs.filter(({ type }) => type === 'task_created').length);
    expect(created.logs).toHaveLength(1);
    expect(await logs(nora, '?type=task_retry')).toEqual({ logs: [], total: 0 });
    expect(await logs(nora, '?offset=1000000')).toEqual({ logs: [], total: all.total });
  });

  test('the default limit is 100', async () => {
    const task = await makeTask(admin);
    for (let n = 0; n < 51; n++) {
      await admin.call('PUT', `/api/tasks/${task.id}`, { enabled: false });
      await admin.call('PUT', `/api/tasks/${task.id}`, { enabled: true });
    }
    expect((await logs(admin)).logs).toHaveLength(100);
  });

  test('newest first', async () => {
    const ids = (await logs(admin, '?limit=1000')).logs.map(({ id }) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => b - a));
  });

  test('/api/activity-logs is the same as a bare array', async () => {
    const query = '?limit=7&offset=2';
    expect((await admin.get(`/api/activity-logs${query}`)).body).toEqual((await logs(admin, query)).logs);
  });

  test.each(['limit=0', 'limit=1001', 'limit=x', 'offset=-1', 'offset=1.5', 'type=nope', 'type='])(
    '%s',
    async (query) => {
      for (const path of ['/api/logs', '/api/activity-logs']) {
        expectRefusal('tasks', 422, await admin.get(`${path}?${query}`), query);
      }
    },
  );
});

describe('whose entries', () => {
  test('one’s own only; admins see all', async () => {
    const task = await makeTask(admin, { name: 'of the admin only' });
    const hers = await makeTask(nora, { name: 'of nora' });
    expect((await about(task, nora)).length).toBe(0);
    expect((await logs(nora, '?limit=1000')).logs.every(({ message }) => !message.includes('admin only'))).toBe(true);
    await until(hers, 'task_created', admin);
  });

  test('what an admin runs of somebody’s task is in that one’s log', async () => {
    const task = await makeTask(nora);
    const execution = await trigger(admin, task);
    const [entry] = await until(task, 'task_complete', nora);
    expect(entry!.executionId).toBe(execution);
  });

  test('a run without a process makes no entry', async () => {
    const before = await logs(admin, '?limit=1');
    const { body } = await admin.post<{ id: string }>('/api/v1/runs', { action: { kind: 'command', shell: 'true' } });
    await eventually('its end', async () => {
      const run = await admin.get<{ status: string }>(`/api/v1/runs/${body.id}`);
      return run.body.status === 'succeeded';
    });
    const probe = await makeTask(admin);
    const after = await logs(admin, '?limit=2');
    expect(after.logs[0]!.taskId).toBe(probe.id);
    expect([after.logs[1], after.total]).toEqual([before.logs[0], before.total + 1]);
  });

  test('a purged execution leaves the log', async () => {
    const task = await makeTask(admin);
    const { id } = await runToEnd(admin, task);
    await until(task, 'task_complete');
    const { total } = await logs(admin);
    expect((await admin.call('DELETE', `/api/v1/jobs/${id}/purge`)).status).toBe(200);
    expect((await about(task)).map(({ type }) => type)).toEqual(['task_created']);
    expect((await logs(admin)).total).toBe(total - 2);
  });
});
