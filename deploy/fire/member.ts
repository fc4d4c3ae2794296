/** One process of ours under fire: killed, paused and started again by name. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { endProcess, identify, isRunning, type ProcessIdentity } from '../local/processes.js';

export interface MemberSpec {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly log: string;
  /** Messages come over Node's own channel. */
  readonly onMessage?: (message: unknown) => void;
}

export class Member {
  private child: ChildProcess | undefined;
  private identity: ProcessIdentity | undefined;
  private wanted = false;
  /** How often it ended though nobody had asked it to. */
  ownEnds = 0;

  constructor(
    readonly spec: MemberSpec,
    private readonly onChange: () => void = () => undefined,
  ) {}

  get record() {
    return this.identity && { ...this.identity, name: this.spec.name, args: this.spec.args };
  }

  get pid(): number {
    return this.identity?.pid ?? 0;
  }

  get runs(): boolean {
    return this.identity !== undefined && isRunning(this.identity);
  }

  start(): void {
    this.wanted = true;
    const { args, env, log, onMessage } = this.spec;
    const file = openSync(log, 'a');
    // Its own session: a Ctrl-C in the terminal reaches the harness alone, which ends everything in order.
    const child = spawn(process.execPath, [...args], {
      env,
      stdio: onMessage ? ['ignore', file, file, 'ipc'] : ['ignore', file, file],
      detached: true,
    });
    closeSync(file);
    if (onMessage) child.on('message', onMessage);
    this.child = child;
    this.identity = child.pid === undefined ? undefined : identify(child.pid);
    child.once('exit', () => this.ended(child));
    this.onChange();
  }

  /** Dead at once, and stays so until `start`. */
  async kill(): Promise<void> {
    this.wanted = false;
    await this.end('SIGKILL', 0);
  }

  async stop(graceMs = 40_000): Promise<boolean> {
    this.wanted = false;
    this.resume();
    return this.end('SIGTERM', graceMs);
  }

  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  async exited(): Promise<number | null> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }

  private signal(signal: NodeJS.Signals): void {
    if (this.identity && this.runs) process.kill(this.identity.pid, signal);
  }

  private async end(signal: NodeJS.Signals, graceMs: number): Promise<boolean> {
    const { identity } = this;
    return identity ? endProcess(identity, { signal, graceMs: Math.max(graceMs, 5_000) }) : true;
  }

  /** As a supervisor would: what ends by itself comes back. */
  private ended(child: ChildProcess): void {
    if (child !== this.child || !this.wanted || this.spec.onMessage) return;
    this.ownEnds++;
    setTimeout(() => {
      if (this.wanted && !this.runs) this.start();
    }, 250);
  }
}
