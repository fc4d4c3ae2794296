import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Client, eventually, startStack, type Stack } from '#testing';
import { ended, eventsOf, outputOf, requestRun, sh, started } from '../surfaces/native/native.harness.js';
import { Watcher } from './live.harness.js';

let stack: Stack;
let token: string;
let admin: Client;
beforeAll(async () => {
  // The stack's own nats-server, which its supervisor starts again.
  stack = await startStack(topology);
  const form = new URLSearchParams({ username: 'admin', password: stack.adminPassword });
  const { body } = await new Client(stack.url).post<{ access_token: string }>('/api/v1/auth/token', form);
  token = body.access_token;
  admin = new Client(stack.url, { authorization: `Bearer ${token}` });
}, 90_000);
afterAll(() => stack.stop(), 60_000);

function natsPid(): number | undefined {
  try {
    const records = JSON.parse(readFileSync(path.join(stack.dataDir, 'nats/pid.json'), 'utf8')) as { pid: number }[];
    return records[0]?.pid;
  } catch {
    return undefined;
  }
}

/** Each service comes back in its own time: the gateway's health says nothing of those that answer for a run. */
async function recovered(pid: number, { id }: { id: string }): Promise<void> {
  await eventually('another nats-server', async () => natsPid() !== undefined && natsPid() !== pid);
  for (const place of ['health', `runs/${id}`, `runs/${id}/events`, `runs/${id}/output`]) {
    await eventually(place, async () => (await admin.get(`/api/v1/${place}`).catch(() => undefined))?.status === 200);
  }
}

/** In solo there is no bus to lose: the same, undisturbed. */
test('a watcher gets everything, though the bus dies in the middle', async () => {
  const gate = path.join(stack.dataDir, 'gate');
  const run = await requestRun(
    admin,
    sh(`until [ -e ${gate} ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done; echo end`),
  );
  await started(admin, run);
  const watcher = await new Watcher(stack.url, { token }).in();
  try {
    expect(await watcher.subscribe(`run:${run.id}`, { after: '0' })).toMatchObject({ ok: true });
    await watcher.until('some output', () => watcher.pieces.length > 5);
    const pid = natsPid();
    expect(pid === undefined).toBe(topology === 'solo');
    if (pid !== undefined) {
      process.kill(pid, 'SIGKILL');
      await recovered(pid, run);
    }
    const seen = watcher.pieces.length;
    await watcher.until('more output', () => watcher.pieces.length > seen);
    writeFileSync(gate, '');
    expect(await ended(admin, run)).toMatchObject({ status: 'succeeded', attempt: 1 });
    const [text, events] = [await outputOf(admin, run.id), await eventsOf(admin, run.id)];
    expect(text).toMatch(/^line 1\n.*\nend\n$/s);
    await watcher.until('the whole output', () => watcher.text() === text);
    await watcher.until('its end', () => watcher.position === events.at(-1)!.position);
    expect([...new Set(watcher.events.map(({ position }) => position))]).toEqual(
      events.map(({ position }) => position),
    );
    expect(watcher.socket.connected).toBe(true);
  } finally {
    watcher.leave();
  }
});

test('the last words of a run, said while the bus is away, are not lost', async () => {
  for (let round = 0; round < 3; round++) {
    const gate = path.join(stack.dataDir, `gate-${round}`);
    const run = await requestRun(admin, sh(`echo first; until [ -e ${gate} ]; do sleep 0.02; done; echo last`));
    const watcher = await new Watcher(stack.url, { token }).in();
    try {
      await watcher.subscribe(`run:${run.id}`, { after: '0' });
      await watcher.until('the first words', () => watcher.text() === 'first\n');
      const pid = natsPid();
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      writeFileSync(gate, '');
      if (pid !== undefined) await recovered(pid, run);
      expect(await ended(admin, run)).toMatchObject({ status: 'succeeded', attempt: 1 });
      await watcher.until('the last words', () => watcher.text() === 'first\nlast\n');
      await watcher.until('its end', () => watcher.events.at(-1)?.type === 'RunSucceeded');
    } finally {
      watcher.leave();
    }
  }
});
