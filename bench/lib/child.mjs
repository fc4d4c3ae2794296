/** Child processes: started with this same node, ended and waited for. */
import { fork, spawn } from 'node:child_process';
import { openSync, closeSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** Whatever this process started and has not stopped goes with it, also when it breaks. */
const started = new Set();
export function own(child) {
  started.add(child);
  child.once('exit', () => started.delete(child));
  return child;
}
process.on('exit', () => started.forEach((child) => child.kill('SIGTERM')));

const ended = (child) => child.exitCode !== null || child.signalCode !== null;

export function start(file, args, { env, log, cwd }) {
  const out = openSync(log, 'a');
  const child = own(spawn(process.execPath, [file, ...args], { env, cwd, stdio: ['ignore', out, out] }));
  closeSync(out);
  return child;
}

export async function stop(child, within = 35_000) {
  if (ended(child)) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), within);
  await gone;
  clearTimeout(timer);
}

/** A helper that speaks over IPC: `ask` sends and waits for the answer of the same name. */
export async function helper(file, args, env = {}) {
  const child = own(
    fork(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
  );
  const ears = new Map();
  const failed = new Promise((_, reject) =>
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`))),
  );
  failed.catch(() => undefined);
  child.on('message', ({ type, ...rest }) => {
    if (type === 'error') console.error(`  ${file}: ${rest.error}`);
    ears.get(type)?.(rest);
    if (!ears.get(type)?.stays) ears.delete(type);
  });
  const heard = (type) => Promise.race([new Promise((resolve) => ears.set(type, resolve)), failed]);
  const ready = heard('ready');
  const self = {
    pid: child.pid,
    hears: (type, handler) =>
      ears.set(
        type,
        Object.assign((said) => handler(said), { stays: true }),
      ),
    ask(type, data = {}) {
      const answer = heard(type);
      child.send({ type, ...data });
      return answer;
    },
    stop: () => stop(child, 5_000),
    hello: await ready,
  };
  return self;
}

/** The other end of `helper`. */
export function serve(answers, hello = {}) {
  for (const [type, work] of Object.entries(answers)) {
    process.on('message', (message) => {
      if (message.type !== type) return;
      Promise.resolve(work(message)).then(
        (answer) => process.send({ type, ...answer }),
        (error) => {
          process.send({ type: 'error', error: String(error?.stack ?? error) });
          process.exitCode = 1;
          setTimeout(() => process.exit(1), 100);
        },
      );
    });
  }
  process.on('disconnect', () => process.exit(0));
  process.send({ type: 'ready', ...hello });
}

export const lastLines = (file, count = 20) =>
  readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
