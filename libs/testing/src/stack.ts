/** A whole Runledger for one test file, started as a user starts it: a child process on a database and in a folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from '../../../deploy/local/environment.js';
import { identify, writeRecords } from '../../../deploy/local/processes.js';
import { createDatabase } from './database.js';
import { freePort } from './ports.js';
import { removeTestDir, testDir } from './test-dir.js';

export type Topology = 'solo' | 'cluster';

export interface Stack {
  readonly url: string;
  /** The second port that it listens on. */
  readonly otherUrl: string;
  readonly wsUrl: string;
  readonly adminPassword: string;
  readonly databaseUrl: string;
  readonly dataDir: string;
  /** Of the supervisor in a cluster, of the one process in solo. */
  readonly pid: number;
  /** All that was logged so far; lines of JSON, but for a few words of the start itself. */
  logs(): string;
  /** Asks it to end and waits; answers how it did. Its database and folder are removed. */
  stop(): Promise<StackEnd>;
}

export interface StackEnd {
  readonly exitCode: number | null;
  /** SIGKILL when it did not end within 35 s. */
  readonly signal: NodeJS.Signals | null;
}

const shared = new Map<Topology, Promise<Stack>>();

/** One for all tests of a file; stop it in `afterAll`. */
export function sharedStack(topology: Topology): Promise<Stack> {
  const running = shared.get(topology) ?? startStack(topology);
  shared.set(topology, running);
  return running;
}

export async function startStack(topology: Topology, env: NodeJS.ProcessEnv = {}): Promise<Stack> {
  const main = path.join(projectRoot(), 'dist/deploy/local', `${topology}.js`);
  if (!existsSync(main)) throw new Error(`${main} is missing: compile first, as "npm test" does.`);
  const database = await createDatabase();
  const dir = testDir(topology);
  const dataDir = path.join(dir, 'data');
  const adminPassword = randomBytes(12).toString('hex');
  const [port, otherPort] = await Promise.all([freePort(), freePort()]);
  const settings = {
    PORT: `${port},${otherPort}`,
    HOST: '127.0.0.1',
    DATABASE_URL: database.url,
    RUNLEDGER_DATA: dataDir,
    RUNLEDGER_RATE_LIMITS: 'off',
    // A machine that stalls is no reason to give up.
    RUNLEDGER_ANSWER_SECONDS: '10',
    RUNLEDGER_ADMIN_PASSWORD: adminPassword,
    ...env,
  };
  const started = launch(main, dir, settings);
  const stop = async () => {
    const end = await endStack(started.child);
    await database.drop();
    removeTestDir(dir);
    return end;
  };
  const url = `http://127.0.0.1:${port}`;
  await waitForHealth(url, started).catch(async (error: Error) => {
    await stop();
    throw error;
  });
  const wsUrl = `ws://127.0.0.1:${port}`;
  return {
    url,
    otherUrl: `http://127.0.0.1:${otherPort}`,
    wsUrl,
    adminPassword,
    databaseUrl: database.url,
    dataDir,
    pid: started.child.pid ?? 0,
    logs: started.logs,
    stop,
  };
}

interface Started {
  readonly child: ChildProcess;
  readonly logs: () => string;
}

function launch(main: string, dir: string, settings: NodeJS.ProcessEnv): Started {
  const file = path.join(dir, 'stack.log');
  const log = openSync(file, 'a');
  // Not the settings of whoever runs the tests, and not jest's own flags.
  const { NODE_OPTIONS: _, NODE_ENV: __, NATS_URL: ___, ...inherited } = process.env;
  const env = { ...inherited, ...settings };
  const child = spawn(process.execPath, [main, '--bare'], { env, cwd: projectRoot(), stdio: ['ignore', log, log] });
  closeSync(log);
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity) writeRecords(path.join(dir, 'stack.json'), [{ ...identity, name: 'stack', args: [main] }]);
  let last = '';
  const logs = () => {
    if (existsSync(file)) last = readFileSync(file, 'utf8');
    return last;
  };
  return { child, logs };
}

async function waitForHealth(url: string, { child, logs }: Started): Promise<void> {
  const until = performance.now() + 80_000;
  while (performance.now() < until && !hasEnded(child)) {
    const answer = await fetch(`${url}/api/v1/health`, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    if (answer?.status === 200) return;
    await sleep(50);
  }
  const what = hasEnded(child)
    ? `ended with ${child.exitCode ?? child.signalCode}`
    : 'did not become healthy within 80 s';
  throw new Error(`The stack ${what}. Its log ends:\n${logs().split('\n').slice(-30).join('\n')}`);
}

async function endStack(child: ChildProcess): Promise<StackEnd> {
  child.kill('SIGTERM');
  const until = performance.now() + 35_000;
  while (!hasEnded(child) && performance.now() < until) await sleep(20);
  if (!hasEnded(child)) child.kill('SIGKILL');
  while (!hasEnded(child)) await sleep(20);
  return { exitCode: child.exitCode, signal: child.signalCode };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

declare global {
  /** Set by the jest projects `solo` and `cluster`. */
  var topology: Topology;
}
