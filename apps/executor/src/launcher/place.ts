/** Where a launcher's files are. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** A unix socket's path has room for 107 bytes. */
const longestPath = 100;

export interface Place {
  socket: string;
  lock: string;
  log: string;
  families: string;
  spool: string;
}

export function place(dir: string): Place {
  const root = resolve(dir);
  mkdirSync(join(root, 'spool'), { recursive: true, mode: 0o700 });
  const direct = join(root, 'launcher.sock');
  return {
    socket: Buffer.byteLength(direct) <= longestPath ? direct : join(elsewhere(root), 'launcher.sock'),
    lock: join(root, 'launcher.lock'),
    log: join(root, 'launcher.log'),
    families: join(root, 'launcher.tags'),
    spool: join(root, 'spool'),
  };
}

/** The same short directory for the same long one; somebody else may have made it first, and then it is not used. */
function elsewhere(root: string): string {
  const uid = process.getuid?.() ?? 0;
  const dir = join(tmpdir(), `runledger-${uid}-${createHash('sha256').update(root).digest('hex').slice(0, 16)}`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const found = lstatSync(dir);
  if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) return dir;
  throw new Error(`${dir} belongs to somebody else or is open to others`);
}
