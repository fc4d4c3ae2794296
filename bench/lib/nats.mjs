/** A nats-server of the bench's own without users, for a process beside the product that rings its bells. */
import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, own, stop } from './child.mjs';
import { fromProduct } from './stage.mjs';

export async function startNats() {
  const { findNats } = await fromProduct('deploy/local/nats.js');
  const binary = await findNats();
  if (binary === null) return null;
  const port = await freePort();
  const child = own(spawn(binary, ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' }));
  for (let attempt = 0; !(await answers(port)); attempt++) {
    if (attempt > 100) throw new Error('nats-server did not start');
    await sleep(50);
  }
  return { url: `nats://127.0.0.1:${port}`, stop: () => stop(child) };
}

const answers = (port) =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
