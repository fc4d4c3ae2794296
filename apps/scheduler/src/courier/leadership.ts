import { Client } from 'pg';
import { type Log } from '#service';

const stillText = `select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
  where locktype = 'advisory' and objid = $1 and objsubid = 1 and granted
    and database = (select oid from pg_database where datname = current_database())
    and state_change < clock_timestamp() - interval '15 seconds'`;

/**
 * One of many: a lock of the database's own, on a connection of its own. Whoever dies loses the connection and with it the
 * lock, however he dies. Whoever holds it asks something each second; of one who has asked nothing for fifteen, stopped or
 * hung, the others end the connection.
 */
export class Leadership {
  private client: Client | null = null;
  private isMine = false;

  /** `onLost`: somebody else may hold it from now on. */
  constructor(
    private readonly url: string,
    private readonly lock: number,
    private readonly log: Log,
    private readonly onLost: () => void,
  ) {}

  /** True while it is ours; tries to make it so. */
  async hold(): Promise<boolean> {
    const client = (this.client ??= await this.connect());
    const text = this.isMine ? 'select true as mine' : `select pg_try_advisory_lock(${this.lock}) as mine`;
    try {
      const { rows } = await client.query<{ mine: boolean }>(text);
      this.isMine = rows[0]!.mine;
      if (!this.isMine) await this.endOfStill(client);
    } catch (error) {
      this.lost(client);
      throw error;
    }
    return this.isMine;
  }

  private async endOfStill(client: Client): Promise<void> {
    const { rowCount } = await client.query(stillText, [this.lock]);
    if (rowCount) this.log.warn('whoever delivered has stood still for fifteen seconds: another one goes on');
  }

  async release(): Promise<void> {
    const { client } = this;
    this.client = null;
    this.isMine = false;
    await client?.end();
  }

  private async connect(): Promise<Client> {
    const waits = { connectionTimeoutMillis: 5_000, query_timeout: 5_000 };
    const client = new Client({ connectionString: this.url, keepAlive: true, ...waits });
    client.on('error', (err) => this.log.debug({ err }, 'the connection that says who delivers was lost'));
    client.on('end', () => this.lost(client));
    await client.connect();
    return client;
  }

  private lost(client: Client): void {
    if (this.client !== client) return;
    const wasMine = this.isMine;
    this.client = null;
    this.isMine = false;
    client.end().catch((err: unknown) => this.log.debug({ err }, 'a lost connection'));
    if (wasMine) this.onLost();
  }
}
