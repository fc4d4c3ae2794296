import pg from 'pg';
import { readFileSync } from 'node:fs';
import { type z } from 'zod';
import { eventually, type Client } from '#testing';
import { type batchRead } from './batches.shapes.js';
import { type jobRead } from './jobs.shapes.js';

export type Job = z.infer<typeof jobRead>;
export type BatchRow = z.infer<typeof batchRead>;
export type Batch = BatchRow & { jobs: Job[] };

export interface Detail {
  detail: string;
}

export interface Invalid {
  detail: { type: string; loc: (string | number)[]; msg: string; input: unknown }[];
}

export const batches = '/api/v1/job-batches';
export const missing = '01890000-0000-7000-8000-000000000000';
/** So far ahead that it never starts. */
export const never = { scheduled_at: '2150-01-01T00:00:00Z' };
export const sh = (line: string) => ['sh', '-c', line];

export const countsOf = (batch: BatchRow): Record<string, number> => ({
  ...{ pending: batch.pending_count, running: batch.running_count, success: batch.success_count },
  ...{ failed: batch.failed_count, canceled: batch.canceled_count },
});

export const sumOf = (batch: BatchRow): number => Object.values(countsOf(batch)).reduce((sum, runs) => sum + runs, 0);

export const isActive = ({ status }: { status: string }): boolean => ['pending', 'running'].includes(status);

export async function makeBatch(by: Client, body: { jobs: object[] }): Promise<Batch> {
  const answer = await by.post<Batch>(batches, { name: 'a batch', ...body });
  if (answer.status !== 202) throw new Error(`${answer.status}: ${answer.text}`);
  return answer.body;
}

/** As the view shows it, once it does: to whoever made it at once, to others with its next look. */
export const readBatch = (by: Client, id: string): Promise<Batch> =>
  eventually('the batch to be shown', async () => {
    const { status, body } = await by.get<Batch>(`${batches}/${id}`);
    return status === 200 && body;
  });

/** Whether the process is there and has not ended. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** The number that a command has written into the file, once it has. */
export function pidIn(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

/** How long the ledger is, and how many runs wait: the views come later. */
export async function everythingWritten({ databaseUrl }: { databaseUrl: string }): Promise<object> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const text = `select (select count(*) from queue) as queued, (select last from block order by first desc limit 1) as head`;
    return (await client.query<object>(text)).rows[0]!;
  } finally {
    await client.end();
  }
}
