/** Starts the processes of a cluster, starts again whatever dies, and ends them all: nothing outlives its supervisor's stop. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { endProcess, identify, isRunning, killGroup, writeRecords, type ProcessRecord } from './processes.js';

/** A Node program of ours; `args` are its file and its own name, so that the command line says which service it is. */
export interface ChildSpec {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** A server that detaches itself and is known by its own data folder: PostgreSQL, nats-server. */
export interface ServerSpec<S extends RunningServer> {
  readonly name: string;
  /** Must come back on the same address. */
  readonly start: () => Promise<S>;
}

export interface RunningServer {
  readonly pid: number;
  stop(): Promise<void>;
}

export interface SupervisorOptions {
  /** Where the pids are kept for `endLeftovers` of the next start. */
  readonly pidFile: string;
  readonly write: (line: string) => void;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs?: number;
}

const firstDelayMs = 250;
const longestDelayMs = 5_000;
/** Whoever ran this long was well: the next delay is the first again. */
const wellMs = 10_000;

export class Supervisor {
  private readonly running = new Map<string, ProcessRecord>();
  private readonly children: Promise<void>[] = [];
  private readonly servers: { pid(): number | undefined; name: string; stop(): Promise<void> }[] = [];
  private readonly stopping = new AbortController();
  private stopped: Promise<boolean> | undefined;

  constructor(private readonly options: SupervisorOptions) {}

  /** Name and pid of everything that runs now. */
  pids(): ReadonlyMap<string, number> {
    const servers = this.servers.map(({ name, pid }) => [name, pid()] as const);
    const children = [...this.running.values()].map(({ name, pid }) => [name, pid] as const);
    return new Map([...servers, ...children].filter((entry): entry is [string, number] => entry[1] !== undefined));
  }

  child(spec: ChildSpec): void {
    this.children.push(this.keepRunning(spec.name, () => this.runChild(spec)));
  }

  /** Resolves when the server answers for the first time, and rejects when it cannot be started at all. */
  async server<S extends RunningServer>({ name, start }: ServerSpec<S>): Promise<S> {
    const first = await start();
    let current: S | undefined = first;
    const kept = this.keepRunning(name, async () => {
      current ??= await start();
      await this.isDeadOrStopping(current.pid);
      if (!this.stopping.signal.aborted) current = undefined;
    });
    const stop = () => kept.then(() => current?.stop());
    this.servers.unshift({ name, pid: () => current?.pid, stop });
    return first;
  }

  /** Children first, all at once; then the servers, the last one started first. False when a child had to be killed. */
  stop(): Promise<boolean> {
    this.stopping.abort();
    this.stopped ??= this.stopAll();
    return this.stopped;
  }

  private async stopAll(): Promise<boolean> {
    const { graceMs = 30_000 } = this.options;
    const ended = await Promise.all([...this.running.values()].map((record) => endProcess(record, { graceMs })));
    await Promise.all(this.children);
    for (const server of this.servers) await server.stop();
    return ended.every(Boolean);
  }

  private async keepRunning(name: string, run: () => Promise<string | void>): Promise<void> {
    const { signal } = this.stopping;
    let delay = firstDelayMs;
    while (!signal.aborted) {
      const began = performance.now();
      const ending = await run().catch((error: Error) => error.message);
      if (signal.aborted) return;
      if (performance.now() - began > wellMs) delay = firstDelayMs;
      this.options.write(`${name} ended (${ending ?? 'gone'}) and starts again in ${delay / 1000} s`);
      await sleep(delay, undefined, { signal }).catch(() => undefined);
      delay = Math.min(delay * 2, longestDelayMs);
    }
  }

  private async runChild({ name, args, env }: ChildSpec): Promise<string> {
    // Its own session: a Ctrl-C in the terminal reaches the supervisor alone, which stops everything in order.
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (identity) this.running.set(name, { ...identity, name, args });
    this.save();
    this.passOn(name, child.stdout);
    this.passOn(name, child.stderr);
    const ending = await endOf(child);
    if (child.pid !== undefined) killGroup(child.pid);
    this.running.delete(name);
    this.save();
    return ending;
  }

  private async isDeadOrStopping(pid: number): Promise<void> {
    const { signal } = this.stopping;
    const identity = identify(pid);
    while (identity && isRunning(identity) && !signal.aborted) {
      await sleep(100, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Lines of JSON are the services' log and pass as they are; anything else says whose it is. */
  private passOn(name: string, stream: Readable): void {
    const lines = createInterface({ input: stream });
    lines.on('line', (line) => this.options.write(line.startsWith('{') ? line : `${name} | ${line}`));
  }

  private save(): void {
    writeRecords(this.options.pidFile, [...this.running.values()]);
  }
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
}
