import { afterAll, afterEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from './environment.js';
import { endLeftovers, identify, type ProcessRecord, writeRecords } from './processes.js';
import { Supervisor } from './supervise.js';

const root = mkdtempSync(path.join(os.tmpdir(), 'runledger-supervise-'));
const pidFile = path.join(root, 'processes.json');
const lines: string[] = [];
let supervisor = new Supervisor({ pidFile, write: (line) => lines.push(line), graceMs: 500 });

const program = (name: string, text: string) => {
  const file = path.join(root, `${name}.mjs`);
  writeFileSync(file, text);
  return { name, args: [file, name], env: process.env };
};
const pidOf = (name: string) => supervisor.pids().get(name) ?? 0;
const until = async (what: () => boolean) => {
  for (let waited = 0; waited < 60_000; waited += 20) {
    if (what()) return;
    await sleep(20);
  }
  throw new Error(`never: ${what.toString()}; lines: ${lines.join('\n')}`);
};
const patient = `console.log('plain ' + process.argv[2]); console.log('{"json":true}'); setInterval(() => {}, 1000);`;

afterEach(async () => {
  await supervisor.stop();
  lines.length = 0;
  supervisor = new Supervisor({ pidFile, write: (line) => lines.push(line), graceMs: 500 });
});
afterAll(() => rmSync(root, { recursive: true }));

test('lines of JSON pass, others say whose they are', async () => {
  supervisor.child(program('auth', patient));
  await until(() => lines.length === 2);
  expect(lines).toEqual(['auth | plain auth', '{"json":true}']);
});

test('whatever dies starts again, children and servers, ever more slowly when it keeps dying', async () => {
  supervisor.child(program('executor', patient));
  supervisor.child(program('broken', 'process.exit(3)'));
  await supervisor.server({ name: 'bus', start: startServer });
  await until(() => pidOf('executor') > 0);
  const before = { executor: pidOf('executor'), bus: pidOf('bus') };
  for (const pid of Object.values(before)) process.kill(pid, 'SIGKILL');
  await until(() => pidOf('executor') > 0 && pidOf('executor') !== before.executor);
  await until(() => pidOf('bus') > 0 && pidOf('bus') !== before.bus);
  await until(() => lines.includes('broken ended (exit code 3) and starts again in 1 s'));
  const broken = lines.filter((line) => line.startsWith('broken'));
  expect(broken.slice(0, 2).map((line) => /again in (.*) s$/.exec(line)?.[1])).toEqual(['0.25', '0.5']);
});

test('stop ends them all, the stubborn and the grandchildren too', async () => {
  supervisor.child(program('gentle', patient));
  supervisor.child(
    program('stubborn', `process.on('SIGTERM', () => {}); console.log('deaf'); setInterval(() => {}, 1000);`),
  );
  supervisor.child(
    program(
      'parent',
      `import { spawn } from 'node:child_process'; console.log('{"pid":' + spawn('sleep', ['300']).pid + '}'); ${patient}`,
    ),
  );
  await supervisor.server({ name: 'bus', start: startServer });
  await until(() => lines.includes('stubborn | deaf') && lines.some((line) => line.startsWith('{"pid"')));
  await until(() => lines.includes('gentle | plain gentle'));
  const grandchild = JSON.parse(lines.find((line) => line.startsWith('{"pid"')) ?? '{}') as { pid: number };
  const pids = [...supervisor.pids().values(), grandchild.pid];
  expect(pids).toHaveLength(5);
  expect(await supervisor.stop()).toBe(false);
  expect(pids.filter((pid) => identify(pid) !== undefined)).toEqual([]);
  expect(JSON.parse(readFileSync(pidFile, 'utf8'))).toEqual([]);
});

test('what a killed supervisor leaves behind is ended by the next start', async () => {
  const { args } = program('history', patient);
  const compiled = path.join(projectRoot(), 'dist/deploy/local/supervise.js');
  const script = `import { Supervisor } from ${JSON.stringify(compiled)};
    const supervisor = new Supervisor({ pidFile: ${JSON.stringify(pidFile)}, write: () => process.kill(process.pid, 'SIGKILL') });
    supervisor.child({ name: 'history', args: ${JSON.stringify(args)}, env: process.env });`;
  const killed = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  await new Promise((resolve) => killed.once('exit', resolve));
  const [left] = JSON.parse(readFileSync(pidFile, 'utf8')) as ProcessRecord[];
  expect(left && identify(left.pid)).toBeDefined();
  expect(await endLeftovers(pidFile)).toEqual(['history']);
  expect(left && identify(left.pid)).toBeUndefined();
});

test('a process that only has the number of one of ours is left alone', async () => {
  const stranger = spawn('sleep', ['60']);
  const identity = identify(stranger.pid ?? 0);
  expect(identity).toBeDefined();
  if (identity === undefined) return;
  writeRecords(pidFile, [
    { ...identity, started: 'another boot/1', name: 'older', args: ['sleep'] },
    { ...identity, name: 'other', args: ['main.js', 'gateway'] },
  ]);
  expect(await endLeftovers(pidFile)).toEqual([]);
  expect(identify(identity.pid)).toEqual(identity);
  stranger.kill();
});

async function startServer() {
  const child = spawn('sleep', ['300'], { detached: true });
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise((resolve) => child.once('spawn', resolve));
  return { pid: child.pid ?? 0, stop: () => (child.kill(), exit) };
}
