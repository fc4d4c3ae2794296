/** `npm run cluster`: PostgreSQL, nats-server and one process for each service on this machine, kept running until Ctrl-C. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bells, natsUsers, type ServiceName, subjects } from '#bus';
import { planChildren, portsOf, readClusterOptions, type ClusterOptions } from './cluster-plan.js';
import { filesIn, takeDataDir } from './data-dir.js';
import { readEnvironment, type Environment } from './environment.js';
import { findNats, howToGetNats, startNats } from './nats.js';
import { startPostgres } from './postgres.js';
import { onStopSignal } from './stop-signal.js';
import { Supervisor } from './supervise.js';

interface Cluster {
  readonly options: ClusterOptions;
  readonly environment: Environment;
  readonly supervisor: Supervisor;
  readonly stopping: AbortSignal;
}

interface Bus {
  readonly url: (service: ServiceName) => string;
  readonly words: string;
}

async function main(): Promise<void> {
  const options = readClusterOptions(process.argv.slice(2));
  const environment = readEnvironment(
    options.port === undefined ? process.env : { ...process.env, PORT: options.port },
  );
  const { lock, ended } = await takeDataDir(environment.dataDir);
  if (ended.length > 0) console.log(`Ended what an earlier start left running: ${ended.join(', ')}`);
  const supervisor = new Supervisor({ pidFile: filesIn(environment.dataDir).pids, write: (line) => console.log(line) });
  const stopping = new AbortController();
  const started = startAll({ options, environment, supervisor, stopping: stopping.signal });
  const stop = async () => {
    stopping.abort();
    // What is half started is waited for: only then is it known, and can be stopped.
    await started.catch(() => undefined);
    const clean = await supervisor.stop();
    lock.release();
    return clean ? 0 : 1;
  };
  onStopSignal(stop);
  await started.catch(async (error: Error) => {
    if (stopping.signal.aborted) return;
    console.error(error.message);
    await stop();
    process.exit(1);
  });
  await reportReadiness(environment, stopping.signal);
}

async function startAll(cluster: Cluster): Promise<void> {
  const { options, environment, supervisor, stopping } = cluster;
  const databaseUrl = environment.databaseUrl ?? (await startDatabase(cluster));
  stopping.throwIfAborted();
  const bus = await startBus(cluster);
  stopping.throwIfAborted();
  const dist = path.resolve(import.meta.dirname, '../..');
  const children = planChildren(dist, options, environment, { databaseUrl, natsUrl: bus.url });
  for (const child of children) supervisor.child(child);
  console.log(banner(cluster, bus.words));
}

async function startDatabase({ environment, supervisor }: Cluster): Promise<string> {
  const { postgres, postgresLog } = filesIn(environment.dataDir);
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

async function startBus({ environment, supervisor, stopping }: Cluster): Promise<Bus> {
  const { natsUrl } = environment;
  if (natsUrl !== undefined) return { url: () => natsUrl, words: `nats-server of NATS_URL, ${new URL(natsUrl).host}` };
  const binary = await findNats(undefined, stopping);
  if (binary === null) throw new Error(howToGetNats);
  const users = natsUsers(Object.values(subjects), Object.values(bells));
  let port: number | undefined;
  const server = await supervisor.server({
    name: 'nats-server',
    start: async () => {
      const started = await startNats({ binary, dir: filesIn(environment.dataDir).nats, port, users });
      port = started.port;
      return started;
    },
  });
  return { url: server.url, words: `${binary} on 127.0.0.1:${server.port}` };
}

function banner({ options, environment }: Cluster, bus: string): string {
  const { postgres, adminPassword } = filesIn(environment.dataDir);
  const urls = Array.from({ length: options.counts.gateway }, (_, index) => addressOf(environment, index));
  return [
    'Runledger cluster',
    `  url       ${urls.join('  ')}`,
    `  database  ${environment.databaseUrl ? 'the PostgreSQL of DATABASE_URL' : `PostgreSQL in ${postgres}`}`,
    `  bus       ${bus}`,
    `  password  ${process.env.RUNLEDGER_ADMIN_PASSWORD ? 'that of RUNLEDGER_ADMIN_PASSWORD' : `in ${adminPassword}`}`,
  ].join('\n');
}

async function reportReadiness(environment: Environment, stopping: AbortSignal): Promise<void> {
  const began = performance.now();
  let nextWarning = 15;
  while (!stopping.aborted) {
    const seconds = (performance.now() - began) / 1000;
    if (await isHealthy(addressOf(environment, 0))) return console.log(`Ready after ${seconds.toFixed(1)} s`);
    if (seconds > nextWarning) {
      console.log(`Not ready yet after ${nextWarning} s`);
      nextWarning *= 2;
    }
    await sleep(100, undefined, { signal: stopping }).catch(() => undefined);
  }
}

async function isHealthy(address: string): Promise<boolean> {
  try {
    return (await fetch(`${address}/api/v1/health`, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}

/** Listening everywhere is no address to call. */
function addressOf(environment: Environment, index: number): string {
  const host = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }[environment.host] ?? environment.host;
  return `http://${host}:${portsOf(environment, index)[0]}`;
}

await main().catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
