import { setTimeout as sleep } from 'node:timers/promises';
import { type z } from 'zod';
import { type nativeEvent, type nativeProcess, type nativeRun } from './native.shapes.js';

export type Run = z.infer<typeof nativeRun>;
export type Process = z.infer<typeof nativeProcess>;
export type LedgerEvent = z.infer<typeof nativeEvent>;

export interface List<T> {
  items: T[];
  next: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  errors: { path: string; message: string }[];
  correlationId: string;
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

export const sh = (shell: string, more: object = {}) => ({ kind: 'command', shell, ...more });
export const noop = { kind: 'noop' };

const must = async <T>(asked: Promise<Answer<T>>, status: number): Promise<T> => {
  const answer = await asked;
  if (answer.status !== status) throw new Error(`${answer.status} instead of ${status}: ${answer.text}`);
  return answer.body;
};

export const requestRun = (by: Asker, action: object, more: object = {}): Promise<Run> =>
  must(by.post<Run>('/api/v1/runs', { action, ...more }), 202);

export const define = (by: Asker, body: object): Promise<Process> =>
  must(by.post<Process>('/api/v1/processes', { name: 'a process', action: noop, ...body }), 201);

export const readRun = (by: Asker, id: string): Promise<Run> => must(by.get<Run>(`/api/v1/runs/${id}`), 200);

export async function eventsOf(by: Asker, id: string): Promise<LedgerEvent[]> {
  return (await must(by.get<List<LedgerEvent>>(`/api/v1/runs/${id}/events?limit=1000`), 200)).items;
}

export async function runsOf(by: Asker, process: string): Promise<Run[]> {
  return (await must(by.get<List<Run>>(`/api/v1/runs?process=${process}&limit=1000`), 200)).items;
}

export async function outputOf(by: Asker, id: string, query = ''): Promise<string> {
  const { status, text } = await by.get(`/api/v1/runs/${id}/output${query}`);
  if (status !== 200) throw new Error(`${status}: ${text}`);
  return text;
}

const isOver = ({ status }: Run) => !['queued', 'held', 'running'].includes(status);

/** The run as it is once it is over. */
export const ended = (by: Asker, { id }: { id: string }): Promise<Run> => reaches(by, id, isOver);

export const started = (by: Asker, { id }: { id: string }): Promise<Run> =>
  reaches(by, id, ({ status }) => status === 'running');

/** Reads the run until it is as wanted, a minute at most. */
export async function reaches(by: Asker, id: string, wanted: (run: Run) => boolean): Promise<Run> {
  const until = performance.now() + 60_000;
  for (;;) {
    const run = await readRun(by, id);
    if (wanted(run)) return run;
    if (performance.now() > until) throw new Error(`Waited a minute for a run that is ${run.status} (${run.reason})`);
    await sleep(40);
  }
}

/** Runs it and answers its end. */
export const runToEnd = async (by: Asker, action: object, more: object = {}): Promise<Run> =>
  ended(by, await requestRun(by, action, more));
