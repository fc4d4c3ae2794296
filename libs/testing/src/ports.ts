import { randomInt } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isFree } from '../../../deploy/local/ports.js';

/** Below the ports that the system gives away by itself, or somebody might be given one before its owner listens. */
const lowest = 20_000;
const highest = 32_000;

/** A port of 127.0.0.1 that nobody else in this test run is given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(lowest, highest);
    if (take(port) && (await isFree(port))) return port;
  }
}

function take(port: number): boolean {
  try {
    closeSync(openSync(path.join(process.env.RUNLEDGER_TEST_DIR ?? os.tmpdir(), `port-${port}`), 'wx'));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
