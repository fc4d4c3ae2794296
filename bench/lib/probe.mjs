/**
 * `--import`ed into the product's process: notes when the executor begins each command, the same instant that a peer's handler
 * notes in its first line, and when it knows of a no-op that its start is on disk. Nothing of the product is changed.
 */
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { BENCH_PROBE: file, BENCH_PRODUCT_ROOT: root } = process.env;
const main = process.argv[1] ?? '';
if (file && (main.endsWith('/solo.js') || main.includes('/apps/executor/'))) {
  const executor = (file) => import(pathToFileURL(path.join(root, 'dist/apps/executor/src', file)).href);
  const { Supervisor } = await executor('supervisor.js');
  const { Executor } = await executor('executor.js');
  const { begin } = Supervisor.prototype;
  const { request } = Executor.prototype;
  let lines = '';
  const note = (run) => {
    lines += `${run} ${performance.timeOrigin + performance.now()}\n`;
  };
  Supervisor.prototype.begin = function (claimed) {
    note(claimed.run);
    return begin.call(this, claimed);
  };
  Executor.prototype.request = async function (id, born, meta) {
    const handled = await request.call(this, id, born, meta);
    if (handled.events.length > 1) note(id);
    return handled;
  };
  setInterval(() => {
    if (lines === '') return;
    appendFileSync(file, lines);
    lines = '';
  }, 250).unref();
}
