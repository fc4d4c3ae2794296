/** PostgreSQL refuses to run as root, so root runs it as the user postgres, who must be able to reach its files. */
import { execFileSync, spawnSync } from 'node:child_process';
import path from 'node:path';

export interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

export function postgresUser(): RunAs {
  if (process.getuid?.() !== 0) return {};
  if (idOf('-u') === undefined) execFileSync('useradd', ['--system', '--user-group', 'postgres'], { stdio: 'pipe' });
  return { uid: idOf('-u'), gid: idOf('-g') };
}

/** Whether that user can enter every folder above `file`. */
export const canReach = (file: string, runAs: RunAs): boolean => closedFolder(file, runAs) === undefined;

function closedFolder(file: string, runAs: RunAs): string | undefined {
  if (runAs.uid === undefined) return undefined;
  const folders = ancestors(path.resolve(file)).reverse();
  return folders.find((folder) => spawnSync('test', ['-x', folder], { ...runAs, cwd: '/' }).status === 1);
}

/** Throws a sentence that says what to do when that user cannot enter the folders above `file`. */
export function assertReachable(file: string, runAs: RunAs): void {
  const closed = closedFolder(file, runAs);
  if (closed === undefined) return;
  throw new Error(
    `PostgreSQL does not run as root, so Runledger runs it as the user postgres, who cannot enter ${closed} (needed for ${file}). ` +
      `Either set RUNLEDGER_DATA to a folder that user can reach, such as /var/lib/runledger, or allow it with "chmod o+x ${closed}", ` +
      `or start Runledger as a plain user, or set DATABASE_URL to a PostgreSQL of your own.`,
  );
}

function ancestors(file: string): string[] {
  const parent = path.dirname(file);
  return parent === file ? [] : [parent, ...ancestors(parent)];
}

function idOf(flag: '-u' | '-g'): number | undefined {
  try {
    return Number(execFileSync('id', [flag, 'postgres'], { stdio: 'pipe' }));
  } catch {
    return undefined;
  }
}
