/**
 * `--import`ed into the product's process: notes when the executor begins each run, the same instant that a peer's handler
 * notes in its first line. Nothing of the product is changed.
 */
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { BENCH_PROBE: file, BENCH_PRODUCT_ROOT: root } = process.env;
const main = process.argv[1] ?? '';
if (file && (main.endsWith('/solo.js') || main.includes('/apps/executor/'))) {
  const { Supervisor } = await import(pathToFileURL(path.join(root, 'dist/apps/executor/src/supervisor.js')).href);
  const { begin } = Supervisor.prototype;
  let lines = '';
  Supervisor.prototype.begin = function (claimed) {
    lines += `${claimed.run} ${performance.timeOrigin + performance.now()}\n`;
    return begin.call(this, claimed);
  };
  setInterval(() => {
    if (lines === '') return;
    appendFileSync(file, lines);
    lines = '';
  }, 250).unref();
}
