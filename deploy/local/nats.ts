/** Runs a nats-server on this machine, with one user and one list of permitted subjects for each service. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, isFreeSoon } from './ports.js';
import { endLeftovers, endProcess, identify, isRunning, writeRecords, type ProcessIdentity } from './processes.js';

export { findNats, howToGetNats } from './nats-finder.js';

export interface NatsUser {
  readonly user: string;
  /** Subjects; an empty list permits none. */
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

export interface NatsOptions {
  readonly binary: string;
  /** Keeps nats.conf, the passwords, the port and the log; a second start there gives the same URLs. */
  readonly dir: string;
  readonly port?: number;
  readonly users: readonly NatsUser[];
}

export interface Nats {
  /** How that user reaches the server; throws when there is no such user. */
  url(user: string): string;
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

interface Kept {
  port?: number;
  passwords: Record<string, string>;
}

/** What `endLeftovers` reads, so that a killed start's nats-server is ended by the next one. */
export function natsPidFile(dir: string): string {
  return path.join(dir, 'pid.json');
}

export async function startNats(options: NatsOptions): Promise<Nats> {
  const dir = path.resolve(options.dir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  await endLeftovers(natsPidFile(dir));
  const kept = readKept(dir);
  const port = await choosePort(options.port, kept.port);
  const passwords = Object.fromEntries(
    options.users.map(({ user }) => [user, kept.passwords[user] ?? randomPassword()]),
  );
  writePrivately(path.join(dir, 'kept.json'), JSON.stringify({ port, passwords }));
  writePrivately(path.join(dir, 'nats.conf'), configure(port, options.users, passwords));
  const identity = await run(options.binary, dir, port);
  return {
    url: (user) => urlOf(user, passwords, port),
    pid: identity.pid,
    port,
    stop: async () => void (await endProcess(identity)),
  };
}

function configure(port: number, users: readonly NatsUser[], passwords: Record<string, string>): string {
  const rules = users.map(({ user, publish, subscribe }) => ({
    user,
    password: passwords[user],
    permissions: { publish: allow(publish), subscribe: allow(subscribe) },
  }));
  return [
    `listen: "127.0.0.1:${port}"`,
    'max_payload: 1048576',
    `authorization: { users: ${JSON.stringify(rules, null, 2)} }`,
    '',
  ].join('\n');
}

/** To NATS an empty list of allowed subjects means that every subject is. */
function allow(subjects: readonly string[]): { allow: readonly string[] } | { deny: string[] } {
  return subjects.length > 0 ? { allow: subjects } : { deny: ['>'] };
}

async function run(binary: string, dir: string, port: number): Promise<ProcessIdentity> {
  const log = openSync(path.join(dir, 'nats.log'), 'a', 0o600);
  // Its own session, like the database: a Ctrl-C in the terminal must not take the bus away before the services are done.
  const args = ['-c', path.join(dir, 'nats.conf')];
  const child = spawn(binary, args, { stdio: ['ignore', log, log], detached: true });
  closeSync(log);
  child.unref();
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  failed.catch(() => undefined);
  const identity = child.pid === undefined ? await failed : identify(child.pid);
  if (identity) writeRecords(natsPidFile(dir), [{ ...identity, name: 'nats-server', args }]);
  for (let waited = 0; identity && isRunning(identity) && waited < 10_000; waited += 20) {
    if (await greets(port)) return identity;
    await sleep(20);
  }
  if (identity) await endProcess(identity);
  throw new Error(`nats-server did not start on port ${port}; ${path.join(dir, 'nats.log')} says why.`);
}

/** A nats-server speaks first: its INFO line. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 1000 });
    const answer = (greeted: boolean) => {
      socket.destroy();
      resolve(greeted);
    };
    socket.once('data', (data) => answer(data.toString().startsWith('INFO ')));
    socket.once('error', () => answer(false));
    socket.once('timeout', () => answer(false));
    socket.once('close', () => answer(false));
  });
}

async function choosePort(wanted: number | undefined, kept: number | undefined): Promise<number> {
  if (wanted !== undefined && !(await isFreeSoon(wanted))) {
    throw new Error(`Port ${wanted} of 127.0.0.1 is taken, so nats-server cannot listen there.`);
  }
  if (wanted !== undefined) return wanted;
  return kept !== undefined && (await isFreeSoon(kept)) ? kept : freePort();
}

function readKept(dir: string): Kept {
  const file = path.join(dir, 'kept.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Kept) : { passwords: {} };
}

function writePrivately(file: string, text: string): void {
  writeFileSync(file, text, { mode: 0o600 });
}

function randomPassword(): string {
  return randomBytes(24).toString('hex');
}

function urlOf(user: string, passwords: Record<string, string>, port: number): string {
  const password = passwords[user];
  if (password === undefined) throw new Error(`The bus has no user ${user}.`);
  return `nats://${encodeURIComponent(user)}:${password}@127.0.0.1:${port}`;
}
