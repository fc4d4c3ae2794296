/** Whatever is started is put here first, and taken away in reverse order: at the end, on Ctrl-C, and by the next start. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { commandLine, endLeftovers, endProcess, identify, isRunning } from '../local/processes.js';

const prefix = 'runledger-fire-';

type Undo = () => Promise<unknown> | unknown;

export class Cleanup {
  private readonly undos: Undo[] = [];
  private ending: Promise<void> | undefined;

  /** Answers a function that does it now instead; a second call does nothing. */
  add(undo: Undo): () => Promise<void> {
    this.undos.push(undo);
    return async () => {
      const at = this.undos.indexOf(undo);
      if (at < 0) return;
      this.undos.splice(at, 1);
      await undo();
    };
  }

  /** One that fails must not keep the others from being done. */
  run(): Promise<void> {
    return (this.ending ??= this.runAll());
  }

  private async runAll(): Promise<void> {
    for (let undo = this.undos.pop(); undo; undo = this.undos.pop()) {
      try {
        await undo();
      } catch (error) {
        console.error(`While cleaning up: ${String(error)}`);
      }
    }
  }
}

/** The folder of this suite, in which everything lives; PostgreSQL's user has to pass through. */
export function suiteDir(cleanup: Cleanup): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), prefix));
  chmodSync(dir, 0o711);
  writeFileSync(path.join(dir, 'owner.json'), JSON.stringify(identify(process.pid)));
  cleanup.add(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

/** Ends and removes what a suite that was itself killed has left behind. */
export async function sweepFormer(): Promise<void> {
  for (const name of readdirSync(os.tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const dir = path.join(os.tmpdir(), name);
    const owner = ownerOf(dir);
    if (owner === undefined || isRunning(owner)) continue;
    const files = readdirSync(dir, { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((each) => ['members.json', 'pid.json'].includes(path.basename(each)))) {
      await endLeftovers(path.join(dir, file));
    }
    for (const file of files.filter((each) => path.basename(each) === 'postmaster.pid')) {
      const pid = Number(readFileSync(path.join(dir, file), 'utf8').split('\n')[0]);
      const postgres = identify(pid);
      const ours = commandLine(pid).includes(`-D ${path.dirname(path.join(dir, file))} `);
      if (postgres && ours) await endProcess(postgres, { signal: 'SIGQUIT' });
    }
    rmSync(dir, { recursive: true, force: true });
  }
}

function ownerOf(dir: string): Parameters<typeof isRunning>[0] | undefined {
  const file = path.join(dir, 'owner.json');
  if (!existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, 'utf8')) as Parameters<typeof isRunning>[0];
}
