import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Pool } from 'pg';
import { type Work } from '#admission';
import { type Claimed } from './attempt.js';

interface Row {
  run_id: string;
  attempt: number;
  epoch: string;
  version: number;
  correlation: string;
  work: Work;
}

const columns = 'run_id, attempt, epoch, version, correlation, work';

/** Takes over a run that the launcher still has; null when somebody has judged it or it is no longer that attempt. */
export async function adopt(pool: Pool, executor: string, run: string, epoch: string): Promise<Claimed | null> {
  const text = `update queue set executor = $1 where run_id = $2 and epoch = $3 and running and executor <> 'judge' returning ${columns}`;
  const { rows } = await pool.query<Row>(text, [executor, run, epoch]);
  return rows[0] ? claimedOf(rows[0]) : null;
}

/** Runs that the executor before us held here and that nobody runs any more: taken, to be declared lost at once. */
export async function takeLeftovers(pool: Pool, executor: string, former: string): Promise<Claimed[]> {
  const text = `update queue set executor = $1 where running and executor = $2 returning ${columns}`;
  return (await pool.query<Row>(text, [executor, former])).rows.map(claimedOf);
}

/** What we claimed without ever hearing of it: the answer to a claim was lost with its connection. */
export async function claimedUnheard(pool: Pool, executor: string, epochs: string[]): Promise<Claimed[]> {
  const text = `select ${columns} from queue where running and executor = $1 and epoch = any($2::bigint[])`;
  return (await pool.query<Row>(text, [executor, epochs])).rows.map(claimedOf);
}

function claimedOf({ run_id, attempt, epoch, version, correlation, work }: Row): Claimed {
  return { run: run_id, attempt, epoch: String(epoch), version, correlation, work, at: '' };
}

/** Remembers who we are for whoever comes after us in this folder; answers who was here before. */
export async function changeOccupant(dir: string, executor: string): Promise<string | null> {
  const file = path.join(dir, 'executor-id');
  const former = await readFile(file, 'utf8').catch(() => null);
  await writeFile(file, executor, { mode: 0o600 });
  return former;
}
