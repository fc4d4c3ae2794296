/** What `rebuild` and `verify` share: the database of this installation, started for the occasion when nothing runs. */
import { type Pool } from 'pg';
import { Ledger } from '#ledger';
import { createLogger, openDatabase } from '#service';
import { filesIn, takeDataDir } from './data-dir.js';
import { readEnvironment } from './environment.js';
import { startPostgres } from './postgres.js';

export async function withLedger(work: (ledger: Ledger, pool: Pool) => Promise<void>): Promise<void> {
  const { url, stop } = await databaseOf();
  const { orm, pool } = await openDatabase(url, 4, [], [], createLogger('tool', 'warn'));
  try {
    await work(new Ledger(pool), pool);
  } finally {
    await orm.close(true);
    await stop();
  }
}

/** A running Runledger's PostgreSQL is used and left running; otherwise it is started and stopped again. */
async function databaseOf(): Promise<{ url: string; stop: () => Promise<void> }> {
  const { databaseUrl, dataDir } = readEnvironment();
  if (databaseUrl) return { url: databaseUrl, stop: () => Promise.resolve() };
  const { postgres, postgresLog } = filesIn(dataDir);
  const lock = await takeDataDir(dataDir).then(
    (taken) => taken.lock,
    () => null,
  );
  const server = await startPostgres({ dir: postgres, log: postgresLog });
  const stop = async () => {
    if (lock) await server.stop();
    lock?.release();
  };
  return { url: server.url, stop };
}
