/** A Redis of the bench's own, where the machine has one. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:net';
import { freePort, own, stop } from './child.mjs';

export function hasRedis() {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

export async function startRedis(stage) {
  const port = await freePort();
  const dir = path.join(stage.dir, `redis-${port}`);
  mkdirSync(dir);
  const settings = [
    '--port',
    port,
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--appendonly',
    'yes',
    '--appendfsync',
    'everysec',
    '--save',
    '',
  ];
  const child = own(spawn('redis-server', settings.map(String), { stdio: 'ignore' }));
  for (let attempt = 0; !(await answers(port)); attempt++) {
    if (attempt > 100) throw new Error('redis-server did not start');
    await sleep(50);
  }
  return { url: `redis://127.0.0.1:${port}`, stop: () => stop(child) };
}

const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
