/**
 * Watchers of one run in a process of their own, `output-watchers.js <url> <run> <how many> <slow ones>`: tells the harness
 * five times a second what they got.
 */
import { Watcher } from '../watcher.js';

export interface Watched {
  /** Have seen output. */
  served: number;
  /** Were cut off. */
  cut: number;
}

const [url = '', run = '', count, slow] = process.argv.slice(2);
// Not as an argument, which everybody on the machine may read.
const token = process.env.FIRE_TOKEN ?? '';

// Whoever started us is gone.
process.on('disconnect', () => process.exit(1));

const watchers = Array.from({ length: Number(count) }, (_, n) =>
  Watcher.watch(url, token, run, n < Number(slow) ? 1_024 : 0),
);
setInterval(() => {
  const served = watchers.filter(({ outputs }) => outputs > 0).length;
  const cut = watchers.filter(({ closed }) => closed).length;
  process.send?.({ served, cut } satisfies Watched);
}, 200);
