/** `npm start`: all five services in this process, PostgreSQL beside it, the bus in-process unless `NATS_URL` is set. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { filesIn, takeDataDir } from './data-dir.js';
import { readEnvironment } from './environment.js';
import { onStopSignal } from './stop-signal.js';
import { Supervisor } from './supervise.js';
import { startPostgres } from './postgres.js';

const stopWithin = 28_000;

async function main(): Promise<void> {
  const environment = readEnvironment();
  const { dataDir, host, ports, natsUrl } = environment;
  const { lock, ended } = await takeDataDir(dataDir);
  if (ended.length > 0) console.log(`Ended what an earlier start left running: ${ended.join(', ')}`);
  const supervisor = new Supervisor({ pidFile: filesIn(dataDir).pids, write: (line) => console.log(line) });
  let stopServices = () => Promise.resolve();
  const started = (async () => {
    const databaseUrl = environment.databaseUrl ?? (await startDatabase(supervisor, dataDir));
    if (process.argv.includes('--bare')) process.env.RUNLEDGER_BARE = 'on';
    Object.assign(process.env, {
      DATABASE_URL: databaseUrl,
      RUNLEDGER_DATA: dataDir,
      RUNLEDGER_EXECUTOR_ON_STOP: 'end',
    });
    const { startSolo } = await import('../../apps/solo.js');
    ({ stop: stopServices } = await startSolo());
    const url = `http://${host}:${ports[0]}`;
    console.log(
      banner(url, environment.databaseUrl ? 'DATABASE_URL' : `embedded PostgreSQL in ${dataDir}`, natsUrl, dataDir),
    );
  })();
  const stop = async () => {
    await started.catch(() => undefined);
    const stopped = stopServices().catch((error: Error) => console.error(`Stopping failed: ${error.message}`));
    await Promise.race([stopped, cutOff()]);
    const clean = await supervisor.stop();
    lock.release();
    return clean ? 0 : 1;
  };
  onStopSignal(stop);
  await started.catch(async (error: Error) => {
    console.error(`Runledger could not start: ${error.message}`);
    await stop();
    process.exit(1);
  });
}

/** What hangs while stopping must not keep the database running for ever. */
async function cutOff(): Promise<void> {
  await sleep(stopWithin, undefined, { ref: false });
  console.error('Some services did not stop in time.');
}

async function startDatabase(supervisor: Supervisor, dataDir: string): Promise<string> {
  const { postgres, postgresLog } = filesIn(dataDir);
  let port: number | undefined;
  const server = await supervisor.server({
    name: 'postgres',
    start: async () => {
      const started = await startPostgres({ dir: postgres, log: postgresLog, port });
      port = Number(new URL(started.url).port);
      return started;
    },
  });
  return server.url;
}

function banner(url: string, database: string, natsUrl: string | undefined, dataDir: string): string {
  const password = path.join(dataDir, 'admin-password');
  const admin = process.env.RUNLEDGER_ADMIN_USERNAME ?? 'admin';
  const login = existsSync(password) ? `user ${admin}, first password in ${password}` : `user ${admin}`;
  return [
    '',
    `  Runledger     ${url}   (API: ${url}/docs)`,
    `  Login         ${login}`,
    `  Database      ${database}`,
    `  Message bus   ${natsUrl ? `NATS at ${new URL(natsUrl).host}` : 'in-process'}`,
    '  Stop          Ctrl-C',
    '',
  ].join('\n');
}

await main();
