/** One start at a time in a data folder; the lock of a start that was killed is taken over. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { commandLine, identify, isRunning, type ProcessIdentity } from './processes.js';

export interface DataDirLock {
  release(): void;
}

export function lockDataDir(dir: string): DataDirLock {
  const file = path.join(dir, 'lock');
  const own = JSON.stringify({ ...identify(process.pid), command: commandLine(process.pid) });
  for (let attempt = 0; attempt < 10; attempt++) {
    if (create(file, own)) return { release: () => release(file, own) };
    const held = read(file);
    if (held === undefined) continue;
    const owner = ownerOf(held);
    if (owner && isRunning(owner)) {
      throw new Error(
        `Runledger already runs on ${dir} (process ${owner.pid}). Stop it, or set RUNLEDGER_DATA to another folder.`,
      );
    }
    putAside(file, held);
  }
  throw new Error(`Other starts keep taking the lock of ${dir}; try again.`);
}

/** By link, so that the file appears with all its words or not at all. */
function create(file: string, own: string): boolean {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, own, { mode: 0o600 });
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Two starts may find the same stale lock; whoever moved away the other's fresh one instead puts it back. */
function putAside(file: string, stale: string): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
    if (read(aside) !== stale) linkSync(aside, file);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function release(file: string, own: string): void {
  if (read(file) === own) rmSync(file, { force: true });
}

function ownerOf(text: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
