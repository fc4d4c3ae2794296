import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type Pool } from 'pg';
import { withStore } from '#ledger';
import { Context } from '#service';

/** Chunks of 64 KiB in one statement: nobody waits for long. */
const together = 64;
const look = 10_000;

/** Erases, now and then, what was purged by an executor that did not live to erase it. */
@Injectable()
export class Eraser implements OnApplicationBootstrap, OnApplicationShutdown {
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly context: Context) {}

  onApplicationBootstrap(): void {
    const { pool, log } = this.context;
    const erasing = () => eraseLeftovers(pool).catch((err: unknown) => log.warn({ err }, 'erasing again later'));
    this.timer = setInterval(() => void erasing(), look);
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer ?? undefined);
  }
}

/** Deletes what purged runs printed and answers how many bytes that was; what has not been purged stays. */
export async function erase(pool: Pool, runs: string[]): Promise<number> {
  return withStore(async () => {
    // Whoever may not have seen the mark is through with its chunks; whoever comes later sees it.
    await pool.query('select pg_advisory_xact_lock(7265003)');
    let erased = 0;
    for (let rows = together; rows === together;) {
      const answer = await pool.query<{ bytes: number; rows: number }>({
        name: 'output-erase',
        text: `with page as (
            select o.run_id, o.attempt, o.seq from run_output o join run_purge p using (run_id)
            where o.run_id = any ($1) limit ${together}
          ), gone as (
            delete from run_output o using page
            where o.run_id = any ($1) and o.run_id = page.run_id and o.attempt = page.attempt and o.seq = page.seq
            returning octet_length(o.bytes) as bytes
          ) select coalesce(sum(bytes), 0)::int as bytes, count(*)::int as rows from gone`,
        values: [runs],
      });
      rows = answer.rows[0]!.rows;
      erased += answer.rows[0]!.bytes;
    }
    await pool.query('update run_purge set erased = true where run_id = any ($1) and not erased', [runs]);
    return erased;
  });
}

/** Whatever was marked a while ago and is not done: to do it twice at once does no harm. */
export async function eraseLeftovers(pool: Pool): Promise<void> {
  const text = `select run_id from run_purge where not erased and at < clock_timestamp() - interval '5 seconds' order by at limit 100`;
  const { rows } = await pool.query<{ run_id: string }>(text);
  if (rows.length > 0)
    await erase(
      pool,
      rows.map(({ run_id }) => run_id),
    );
}
