/** Folders for what tests start, inside the folder of the test run, which is removed with all that is in it. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export function testDir(name: string): string {
  const dir = mkdtempSync(path.join(process.env.RUNLEDGER_TEST_DIR ?? os.tmpdir(), `${name}-`));
  // A PostgreSQL started by root has to pass through.
  chmodSync(dir, 0o711);
  return dir;
}

export function removeTestDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
