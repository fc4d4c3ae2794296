/** graphile-worker that keeps what it did, as the product does: one insert a job into a table of its own. */
import pg from 'pg';
import * as graphile from './graphile-worker.mjs';

export const name = 'graphile-worker with history';
export const store = 'postgres';
export const { producer } = graphile;

export async function prepare(url) {
  await graphile.prepare(url);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`create table history (id bigint generated always as identity primary key, job text not null, status text not null,
    started_at timestamptz not null, finished_at timestamptz not null default clock_timestamp())`);
  await client.end();
}

export function work(url, handle, options) {
  const record = { name: 'history', text: 'insert into history (job, status, started_at) values ($1, $2, $3)' };
  return graphile.work(
    url,
    async (data, pool) => {
      const started = new Date();
      await handle(data);
      await pool.query({ ...record, values: [String(data.n), 'succeeded', started] });
    },
    options,
  );
}

/** The insert comes before the job is done with, so both are looked at. */
export const recorded = async (database, added) =>
  Math.min(Number(await database.one('select count(*) from history')), await graphile.recorded(database, added));
