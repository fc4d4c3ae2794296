/** TCP ports of this machine: which are free. */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** True when nothing listens on the port of 127.0.0.1. */
export function isFree(port: number): Promise<boolean> {
  return listen(port).then(
    () => true,
    () => false,
  );
}

/** A server that was just killed may hold its port a moment longer. */
export async function isFreeSoon(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 8; attempt++) {
    if (await isFree(port)) return true;
    await sleep(250);
  }
  return false;
}

export function freePort(): Promise<number> {
  return listen(0);
}

function listen(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const chosen = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => resolve(chosen));
    });
  });
}
