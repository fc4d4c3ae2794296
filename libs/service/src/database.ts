import { Pool } from 'pg';
import { type EntitySchema, type EntityClass } from '@mikro-orm/core';
import { Migration, Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { type Log } from './logger.js';

export type Step = [name: string, sql: string];
export type Entities = (EntitySchema | EntityClass<unknown>)[];

const migrationLock = 7_265_002;

/** Every connection refuses to hang: a statement, a lock or an idle transaction that lasts is ended by the server. */
const sessionSettings =
  '-c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=10000 -c timezone=UTC';

const driverOptions = { options: sessionSettings, connectionTimeoutMillis: 5_000, keepAlive: true };

/** MikroORM's pool, which the hot paths use too. */
export async function openDatabase(
  url: string,
  size: number,
  entities: Entities,
  steps: Step[],
  log: Log,
): Promise<{ orm: MikroORM; pool: Pool }> {
  const orm = await MikroORM.init({
    clientUrl: url,
    entities: entities.length > 0 ? entities : [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    pool: { min: 0, max: size },
    driverOptions,
    migrations: {
      tableName: 'migration',
      snapshot: false,
      transactional: true,
      allOrNothing: false,
      migrationsList: steps.map(asMigration),
    },
    logger: (message) => log.debug(message),
  });
  const pool = (await orm.em.getConnection().getNativeClient()) as unknown as Pool;
  return { orm, pool };
}

/** Two flushes and a renewal of the lease. */
const mostReserved = 3;

/** A small pool for what may not stand in line behind a thousand questions: the ledger's flushes (the claim is one) and the lease. */
export function reserveConnections(url: string, log: Log): Pool {
  const reserved = new Pool({ connectionString: url, max: mostReserved, ...driverOptions });
  reserved.on('error', (err) => log.debug({ err }, 'an idle connection was lost; the next is made when it is needed'));
  return reserved;
}

/** Whichever service starts first runs what is new, under a lock; the others wait for it. */
export async function migrate(orm: MikroORM, pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('set statement_timeout = 0; set lock_timeout = 0');
    await client.query('select pg_advisory_lock($1)', [migrationLock]);
    await refuseUnsafe(client);
    await orm.migrator.up();
  } finally {
    client.release(true);
  }
}

/** A 2xx means "on disk": with these settings off it would not. */
async function refuseUnsafe(client: {
  query(text: string): Promise<{ rows: { name: string; setting: string }[] }>;
}): Promise<void> {
  const { rows } = await client.query(
    `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'standard_conforming_strings') and setting = 'off'`,
  );
  const off = rows.map(({ name }) => name);
  if (off.length > 0)
    throw new Error(`This PostgreSQL runs with ${off.join(', ')} off: turn it on, or what is acknowledged may be lost`);
}

function asMigration([name, sql]: Step) {
  class SqlMigration extends Migration {
    override up(): void {
      this.addSql(sql);
    }
  }
  return { name, class: SqlMigration };
}
