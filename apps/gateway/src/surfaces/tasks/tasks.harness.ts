import { setTimeout as sleep } from 'node:timers/promises';
import { type z } from 'zod';
import { type execution, type Task } from './tasks.shapes.js';

export type { Task };
export type Execution = z.infer<typeof execution>;
export type Both = Task & { task: Task };
export interface TaskRefusal {
  error: { code: string; message: string; details: { issues?: { path: string; message: string }[] } };
}

interface Answer<T> {
  status: number;
  text: string;
  body: T;
}
/** Whoever speaks for the tests; `#testing` may be named in specs only. */
export interface Asker {
  get<T>(path: string): Promise<Answer<T>>;
  post<T>(path: string, body?: unknown): Promise<Answer<T>>;
}

export const missing = '01890000-0000-7000-8000-000000000000';

export async function makeTask(by: Asker, body: object = {}): Promise<Task> {
  const answer = await by.post<{ task: Task }>('/api/tasks', { name: 'a task', command: 'true', ...body });
  if (answer.status !== 201) throw new Error(`${answer.status}: ${answer.text}`);
  return answer.body.task;
}

export async function trigger(by: Asker, { id }: { id: string }): Promise<string> {
  const answer = await by.post<{ execution_id: string }>(`/api/tasks/${id}/trigger`);
  if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`);
  return answer.body.execution_id;
}

export async function executionsOf(by: Asker, { id }: { id: string }): Promise<Execution[]> {
  const { status, body, text } = await by.get<{ executions: Execution[] }>(`/api/tasks/${id}/executions`);
  if (status !== 200) throw new Error(`${status}: ${text}`);
  return body.executions;
}

const over = ['completed', 'failed', 'cancelled'];

/** Runs it and answers the execution's end. */
export async function runToEnd(by: Asker, task: { id: string }): Promise<Execution> {
  const id = await trigger(by, task);
  for (const until = performance.now() + 60_000; ; await sleep(30)) {
    const found = (await executionsOf(by, task)).find((each) => each.id === id);
    if (found && over.includes(found.status)) return found;
    if (performance.now() > until) throw new Error(`Waited a minute for an execution that is ${found?.status}`);
  }
}

/** What the execution printed. */
export async function printed(by: Asker, execution: string): Promise<string> {
  return (await by.get(`/api/v1/runs/${execution}/output`)).text;
}
