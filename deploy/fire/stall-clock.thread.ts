/** The thread of the stall clock: it sleeps, wakes, and says so when it was woken late. */
import { parentPort } from 'node:worker_threads';

const every = 10;
const late = 40;
const nothing = new Int32Array(new SharedArrayBuffer(4));

for (let before = Date.now(); ;) {
  Atomics.wait(nothing, 0, 0, every);
  const now = Date.now();
  if (now - before > every + late) parentPort?.postMessage({ from: before + every, until: now });
  before = now;
}
