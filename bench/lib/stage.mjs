/** What every scenario stands on: one durable PostgreSQL, a folder for everything, databases of their own. */
import { mkdtempSync, chmodSync, rmSync, existsSync, readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';

/** The checkout that is measured; another one can be named. */
export const productRoot = path.resolve(process.env.BENCH_PRODUCT ?? path.join(import.meta.dirname, '../..'));
export const dist = (file) => path.join(productRoot, 'dist', file);
export const fromProduct = (file) => import(dist(file));

/** For product and peers alike, as in the measurements that the aims come from. */
const settings = { shared_buffers: '1GB', max_wal_size: '4GB', max_connections: '200' };

export class Stage {
  /** @param {{ quick: boolean, rounds: number }} options */
  static async open(options) {
    if (!existsSync(dist('deploy/local/solo.js')))
      throw new Error(`${dist('')} is missing: run "npm run build" first.`);
    const dir = mkdtempSync(path.join(process.env.BENCH_DIR ?? os.tmpdir(), 'runledger-bench-'));
    chmodSync(dir, 0o711);
    const { startPostgres } = await fromProduct('deploy/local/postgres.js');
    const server = await startPostgres({
      dir: path.join(dir, 'postgres'),
      log: path.join(dir, 'postgres.log'),
      settings,
    });
    return new Stage(options, dir, server);
  }

  constructor(options, dir, server) {
    this.options = options;
    this.dir = dir;
    this.server = server;
    this.admin = new pg.Client({ connectionString: server.url });
    this.connected = this.admin.connect();
    this.admin.on('error', () => undefined);
    this.closed = false;
    process.on('exit', () => {
      if (this.closed) return;
      // Immediate: its data goes with it.
      process.kill(server.pid, 'SIGQUIT');
      rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    });
  }

  get quick() {
    return this.options.quick;
  }
  get rounds() {
    return this.options.rounds;
  }

  async versions() {
    await this.connected;
    const { rows } = await this.admin.query('show server_version');
    const shown = await this.admin.query(`select name, setting from pg_settings
      where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers', 'max_wal_size')`);
    return {
      postgres: rows[0].server_version,
      settings: Object.fromEntries(shown.rows.map((row) => [row.name, row.setting])),
    };
  }

  /** A new empty database. */
  async database(label) {
    await this.connected;
    const name = `${label}_${randomUUID().slice(0, 8)}`.replaceAll('-', '_');
    await this.admin.query(`create database ${name}`);
    const url = new URL(this.server.url);
    url.pathname = `/${name}`;
    const client = new pg.Client({ connectionString: url.href });
    client.on('error', () => undefined);
    await client.connect();
    return {
      url: url.href,
      /** One value. */
      one: async (text, values) => Object.values((await client.query(text, values)).rows[0] ?? {})[0],
      query: (text, values) => client.query(text, values),
      drop: async () => {
        await client.end();
        await this.admin.query(`drop database ${name} with (force)`);
      },
    };
  }

  /** So that nobody pays for what another left behind. */
  async settle() {
    await this.connected;
    await this.admin.query('checkpoint');
  }

  async close() {
    await this.admin.end();
    await this.server.stop();
    this.closed = true;
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export const load = () => Number(os.loadavg()[0].toFixed(1));

/** Seconds that the host gave to others while this machine had something to do, so far, of all its cores. */
export function stolen() {
  const [, , , , , , , , steal] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/\s+/);
  return Number(steal) / 100;
}
