import { afterAll, expect, test } from '@jest/globals';
import { connect } from '@nats-io/transport-node';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { findNats, startNats, type NatsUser } from './nats.js';
import { commandLine, identify } from './processes.js';

const root = mkdtempSync(path.join(os.tmpdir(), 'runledger-nats-spec-'));
const users: NatsUser[] = [
  { user: 'gateway', publish: ['cmd.>'], subscribe: ['_INBOX.>', 'evt.>'] },
  { user: 'mute', publish: [], subscribe: ['>'] },
];
/** Found, or fetched, by the global set-up. */
const binary = process.env.RUNLEDGER_TEST_NATS ?? '';
const natsTest = binary ? test : test.skip;

const at = (name: string) => path.join(root, name);
const refusal = (publish: () => Promise<unknown>) =>
  publish().then(
    () => 'allowed',
    (error: Error) => error.message,
  );

afterAll(() => rmSync(root, { recursive: true }));

natsTest(
  'it is taken from the cache folder unless it does not run, and without one nobody waits for ever',
  async () => {
    const { PATH } = process.env;
    mkdirSync(at('cache'));
    copyFileSync(binary, at('cache/nats-server'));
    try {
      process.env.PATH = at('nothing');
      expect(await findNats(at('cache'))).toBe(at('cache/nats-server'));
      process.env.PATH = path.dirname(binary);
      expect(await findNats(at('cache'))).toBe(binary);
      process.env.PATH = at('nothing');
      writeFileSync(at('cache/nats-server'), 'no program');
      expect(await findNats(at('cache'), AbortSignal.abort())).toBeNull();
    } finally {
      process.env.PATH = PATH;
    }
  },
);

natsTest('each service has its own user, who may say only what it is permitted to', async () => {
  const nats = await startNats({ binary, dir: at('users'), users });
  try {
    expect(statSync(at('users/nats.conf')).mode & 0o777).toBe(0o600);
    expect(new URL(nats.url('gateway')).hostname).toBe('127.0.0.1');
    expect(() => nats.url('nobody')).toThrow('no user nobody');
    const gateway = await open(nats.url('gateway'));
    const mute = await open(nats.url('mute'));
    expect(gateway.info?.max_payload).toBe(1_048_576);
    const [gatewayErrors, muteErrors] = [gateway, mute].map((connection) => violationsOf(connection));
    gateway.publish('cmd.run.RequestRun');
    gateway.publish('evt.run.RunStarted');
    mute.publish('cmd.run.RequestRun');
    await Promise.all([gateway.flush(), mute.flush()]);
    await Promise.all([gateway.close(), mute.close()]);
    expect(await gatewayErrors).toEqual(['evt.run.RunStarted']);
    expect(await muteErrors).toEqual(['cmd.run.RequestRun']);
    const { hostname, port } = new URL(nats.url('mute'));
    expect(await refusal(() => connect({ servers: `${hostname}:${port}`, reconnect: false }))).toMatch(
      /authorization/i,
    );
  } finally {
    await nats.stop();
  }
  expect(identify(nats.pid)).toBeUndefined();
});

natsTest('it comes back on the same address, and one left behind is ended first', async () => {
  const left = await startNats({ binary, dir: at('again'), users });
  expect(commandLine(left.pid)).toContain(at('again/nats.conf'));
  const again = await startNats({ binary, dir: at('again'), users });
  try {
    expect(identify(left.pid)).toBeUndefined();
    expect(again.url('mute')).toBe(left.url('mute'));
    process.kill(again.pid, 'SIGKILL');
    const third = await startNats({ binary, dir: at('again'), port: again.port, users });
    expect(third.url('gateway')).toBe(again.url('gateway'));
    await third.stop();
  } finally {
    await again.stop();
  }
});

function open(url: string): ReturnType<typeof connect> {
  const { username, password, host } = new URL(url);
  return connect({ servers: host, user: username, pass: password });
}

async function violationsOf(connection: Awaited<ReturnType<typeof connect>>): Promise<string[]> {
  const subjects: string[] = [];
  for await (const status of connection.status()) {
    if (status.type === 'error') subjects.push(/"([^"]+)"/.exec(status.error.message)?.[1] ?? status.error.message);
  }
  return subjects;
}
