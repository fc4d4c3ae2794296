import { type Pool } from 'pg';

export interface Held {
  run: string;
  epoch: string;
  cancel: boolean;
}

/**
 * This executor's right to run things: one row, renewed every 5 seconds, expired after 20 by the database's clock. Whoever
 * judged it dead has deleted the row; a renewal that finds none knows that its runs are no longer its own.
 */
export class Lease {
  constructor(
    private readonly pool: Pool,
    readonly executor: string,
    readonly server: string,
    /** Names of queues; every one when there is none. */
    private readonly queues: readonly string[] = [],
  ) {}

  async take(): Promise<void> {
    const text = `insert into executor_lease (executor, server, queues, until)
      values ($1, $2, $3, clock_timestamp() + interval '20 seconds')`;
    await this.pool.query(text, [this.executor, this.server, this.queues.length > 0 ? this.queues : null]);
  }

  /** The runs that are still this executor's, or null when the lease is gone. */
  async renew(): Promise<Held[] | null> {
    const text = `with mine as (
        update executor_lease set until = clock_timestamp() + interval '20 seconds' where executor = $1 returning 1)
      select (select count(*) from mine)::int as leases,
        coalesce((select json_agg(json_build_object('run', run_id, 'epoch', epoch::text, 'cancel', cancel))
          from queue where running and executor = $1), '[]') as held`;
    const { rows } = await this.pool.query<{ leases: number; held: Held[] }>({
      name: 'lease-renew',
      text,
      values: [this.executor],
    });
    return rows[0]!.leases === 1 ? rows[0]!.held : null;
  }

  async giveBack(): Promise<void> {
    await this.pool.query('delete from executor_lease where executor = $1', [this.executor]);
  }
}
