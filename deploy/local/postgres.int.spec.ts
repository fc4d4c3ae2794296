import { afterAll, afterEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { projectRoot } from './environment.js';
import { startPostgres, type Postgres } from './postgres.js';
import { postgresUser } from './postgres-user.js';
import { identify } from './processes.js';

const root = mkdtempSync(path.join(os.tmpdir(), 'runledger-postgres-'));
chmodSync(root, 0o711);
const dir = path.join(root, 'a folder whose path is longer than a unix socket may have'.repeat(2), 'postgres');
const options = { dir, log: path.join(root, 'postgres.log') };
const started: Postgres[] = [];

const start = async () => {
  const server = await startPostgres(options);
  started.push(server);
  return server;
};

const ask = async (url: string, sql: string): Promise<unknown> => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return Object.values((await client.query<Record<string, unknown>>(sql)).rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
};

afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});
afterAll(() => rmSync(root, { recursive: true }));

test('a cold start makes a durable cluster with a password of its own', async () => {
  const { url, adopted } = await start();
  expect(adopted).toBe(false);
  expect(new URL(url).hostname).toBe('127.0.0.1');
  expect(statSync(`${dir}.password`).mode & 0o777).toBe(0o600);
  expect(await ask(url, 'select current_database()')).toBe('runledger');
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums']) {
    expect([setting, await ask(url, `show ${setting}`)]).toEqual([setting, 'on']);
  }
  await ask(url, 'create table kept (n int)');
  const wrong = new URL(url);
  wrong.password = 'guessed';
  await expect(ask(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
});

test('a warm start finds its data, on the port of last time', async () => {
  const { url, pid, stop } = await start();
  await ask(url, 'insert into kept values (1) returning n');
  await stop();
  expect(identify(pid)).toBeUndefined();
  const again = await start();
  expect(again.url).toBe(url);
  expect(await ask(again.url, 'select count(*)::int from kept')).toBe(1);
});

test('another port is chosen when somebody else has taken it', async () => {
  const { url, stop } = await start();
  await stop();
  const thief = createServer().listen(Number(new URL(url).port), '127.0.0.1');
  const again = await start();
  thief.close();
  expect(again.url).not.toBe(url);
  expect(await ask(again.url, 'select count(*)::int from kept')).toBe(1);
});

test('what a killed parent left running is adopted, and stopped', async () => {
  const { pid, url } = await startInKilledParent();
  const server = await start();
  expect(server).toMatchObject({ pid, url, adopted: true });
  await server.stop();
  expect(identify(pid)).toBeUndefined();
});

test('it starts again right after kill -9, with every committed row', async () => {
  const killed = await startPostgres(options);
  await ask(killed.url, 'insert into kept values (2) returning n');
  const busy = new pg.Client({ connectionString: killed.url });
  busy.on('error', () => undefined);
  await busy.connect();
  const sleeping = busy.query('select pg_sleep(20)').catch(() => undefined);
  process.kill(killed.pid, 'SIGKILL');
  const server = await start();
  expect(server).toMatchObject({ url: killed.url, adopted: false });
  expect(await ask(server.url, 'select count(*)::int from kept')).toBe(2);
  await sleeping;
  await busy.end().catch(() => undefined);
});

test('a pid in postmaster.pid that is somebody else by now does not keep it from starting', async () => {
  const killed = await startPostgres(options);
  process.kill(killed.pid, 'SIGKILL');
  const file = path.join(dir, 'postmaster.pid');
  const { uid, gid } = statSync(file);
  const stranger = spawn('sleep', ['60'], process.getuid?.() === 0 ? { uid, gid } : {});
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^\d+/, String(stranger.pid)));
  const server = await start();
  expect(server.adopted).toBe(false);
  expect(stranger.exitCode).toBeNull();
  stranger.kill();
});

test('a plain user runs it himself; root is told what to do when the user postgres cannot reach the data', async () => {
  if (process.getuid?.() !== 0) {
    expect(postgresUser()).toEqual({});
    return;
  }
  const closed = path.join(root, 'closed');
  mkdirSync(closed, { mode: 0o700 });
  const attempt = startPostgres({ dir: path.join(closed, 'data/postgres'), log: options.log });
  await expect(attempt).rejects.toThrow(`who cannot enter ${closed} `);
});

/** Runs the compiled starter in a process of its own that is killed as soon as its server answers. */
function startInKilledParent(): Promise<{ pid: number; url: string }> {
  const compiled = path.join(projectRoot(), 'dist/deploy/local/postgres.js');
  const script = `import { startPostgres } from ${JSON.stringify(compiled)};
    const { pid, url } = await startPostgres(${JSON.stringify(options)});
    process.stdout.write(JSON.stringify({ pid, url }), () => process.kill(process.pid, 'SIGKILL'));`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  parent.stdout.on('data', (data: Buffer) => (said += data.toString()));
  return new Promise((resolve) =>
    parent.once('close', () => resolve(JSON.parse(said) as { pid: number; url: string })),
  );
}
