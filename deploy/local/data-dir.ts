/** Takes a data folder for this start alone, and ends what an earlier start that was killed left running in it. */
import path from 'node:path';
import { prepareDataDir } from './environment.js';
import { lockDataDir, type DataDirLock } from './lock.js';
import { natsPidFile } from './nats.js';
import { endLeftovers } from './processes.js';

export interface DataDir {
  readonly lock: DataDirLock;
  /** Names of what was ended. PostgreSQL is not among them: `startPostgres` adopts it. */
  readonly ended: readonly string[];
}

export const filesIn = (dataDir: string) => ({
  postgres: path.join(dataDir, 'postgres'),
  postgresLog: path.join(dataDir, 'postgres.log'),
  nats: path.join(dataDir, 'nats'),
  pids: path.join(dataDir, 'processes.json'),
  adminPassword: path.join(dataDir, 'admin-password'),
});

export async function takeDataDir(dataDir: string): Promise<DataDir> {
  prepareDataDir(dataDir);
  const lock = lockDataDir(dataDir);
  const { pids, nats } = filesIn(dataDir);
  // The services first: they end cleanly only while their bus is there.
  const services = await endLeftovers(pids);
  const servers = await endLeftovers(natsPidFile(nats));
  return { lock, ended: [...services, ...servers] };
}
