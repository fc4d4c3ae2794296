/** The suite's PostgreSQL, which a scenario may stop the hard way and start again on the same port. */
import path from 'node:path';
import pg from 'pg';
import { startPostgres, type Postgres } from '../local/postgres.js';
import { endProcess, identify } from '../local/processes.js';
import { type Cleanup } from './cleanup.js';

export class Store {
  private current: Postgres;
  private count = 0;
  private readonly pools: pg.Pool[] = [];

  private constructor(
    private readonly dir: string,
    private readonly settings: Record<string, string>,
    current: Postgres,
  ) {
    this.current = current;
  }

  static async start(dir: string, cleanup: Cleanup, settings: Record<string, string> = {}): Promise<Store> {
    const all = { max_connections: '300', shared_buffers: '128MB', max_wal_size: '1GB', ...settings };
    const options = { dir: path.join(dir, 'postgres'), log: path.join(dir, 'postgres.log'), settings: all };
    const store = new Store(dir, all, await startPostgres(options));
    cleanup.add(() => store.stop());
    return store;
  }

  get pid(): number {
    return this.current.pid;
  }

  get runs(): boolean {
    return identify(this.current.pid) !== undefined;
  }

  /** Immediate: no checkpoint, no goodbye; the next start replays the log. */
  async crash(): Promise<void> {
    const identity = identify(this.current.pid);
    if (identity) await endProcess(identity, { signal: 'SIGQUIT', graceMs: 20_000 });
  }

  async restart(): Promise<void> {
    const port = Number(new URL(this.current.url).port);
    const { dir, settings } = this;
    const options = { dir: path.join(dir, 'postgres'), log: path.join(dir, 'postgres.log'), port, settings };
    // Where everybody reconnects at once a first connection may time out; the server that runs by then is taken over.
    for (let attempt = 1; ; attempt++) {
      try {
        this.current = await startPostgres(options);
        return;
      } catch (error) {
        if (attempt === 5) throw error;
      }
    }
  }

  /** A database of its own for each scenario. */
  async createDatabase(): Promise<string> {
    const name = `fire_${++this.count}`;
    const admin = new pg.Client({ connectionString: this.current.url });
    await admin.connect();
    await admin.query(`create database ${name}`);
    await admin.end();
    const url = new URL(this.current.url);
    url.pathname = name;
    return url.href;
  }

  /** The harness's own connections; a crash of the server ends them and the next question opens new ones. */
  pool(url: string): pg.Pool {
    const pool = new pg.Pool({ connectionString: url, max: 6 });
    pool.on('error', () => undefined);
    this.pools.push(pool);
    return pool;
  }

  private async stop(): Promise<void> {
    await Promise.all(this.pools.filter(({ ended }) => !ended).map((pool) => pool.end()));
    await this.current.stop();
  }
}
