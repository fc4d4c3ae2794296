/** One service as a process of its own, to be killed and started again as a test pleases. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from '../../../deploy/local/environment.js';

export class ServiceProcess {
  private constructor(
    readonly child: ChildProcess,
    private readonly logFile: string,
  ) {}

  /** `until`: a word of its log that says that it is ready. */
  static async start(entry: string, env: NodeJS.ProcessEnv, dir: string, until: string): Promise<ServiceProcess> {
    const logFile = path.join(dir, `${path.basename(path.dirname(path.dirname(entry)))}-${Date.now()}.log`);
    const log = openSync(logFile, 'a');
    const { NODE_OPTIONS: _, NODE_ENV: __, NATS_URL: ___, ...inherited } = process.env;
    const child = spawn(process.execPath, [path.join(projectRoot(), 'dist', entry)], {
      env: { ...inherited, ...env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const service = new ServiceProcess(child, logFile);
    for (const end = performance.now() + 60_000; !service.log.includes(until); await sleep(20)) {
      if (!service.hasEnded && performance.now() < end) continue;
      child.kill('SIGKILL');
      throw new Error(`${entry} did not start:\n${service.log}`);
    }
    return service;
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Sends the signal and waits for its end; answers its exit code, null when a signal ended it. */
  async end(signal: NodeJS.Signals, withinMs = 32_000): Promise<number | null> {
    this.child.kill(signal);
    for (const end = performance.now() + withinMs; !this.hasEnded && performance.now() < end;) await sleep(10);
    if (!this.hasEnded) this.child.kill('SIGKILL');
    while (!this.hasEnded) await sleep(10);
    return this.child.exitCode;
  }
}
