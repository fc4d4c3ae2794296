/** A peer's worker process: `node worker.mjs <peer> <url> <handler> [concurrency]`. */
import { spawn } from 'node:child_process';
import { serve } from '../lib/child.mjs';

const [peer, url, kind, concurrency] = process.argv.slice(2);
const { work } = await import(`./${peer}.mjs`);
let done = 0;
let delays = [];

const handlers = {
  noop: async () => {
    done++;
  },
  true: () =>
    new Promise((resolve, reject) => {
      const child = spawn('/bin/true', [], { stdio: 'ignore' });
      child.on('error', reject);
      child.on('close', () => resolve(void done++));
    }),
  delay: async ({ at }) => {
    delays.push(performance.timeOrigin + performance.now() - at);
    done++;
  },
};

await work(url, handlers[kind], { concurrency: concurrency ? Number(concurrency) : undefined });
serve({
  done: () => ({ done }),
  delays: () => {
    const taken = delays;
    delays = [];
    return { delays: taken };
  },
});
