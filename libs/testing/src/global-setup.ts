/** Once a test run: one PostgreSQL, and one folder for all that its tests start. */
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

type PostgresModule = typeof import('../../../deploy/local/postgres.js');
type NatsModule = typeof import('../../../deploy/local/nats-finder.js');
type ProcessesModule = typeof import('../../../deploy/local/processes.js');

const prefix = 'runledger-test-';

/** Jest wants a default export, and resolves no import of this file to a `.ts`: hence what `npm test` compiled just before. */
export default async function setUp({ rootDir }: { rootDir: string }): Promise<void> {
  const local = path.join(rootDir, 'dist/deploy/local');
  const { startPostgres } = (await import(path.join(local, 'postgres.js'))) as PostgresModule;
  const { findNats, howToGetNats } = (await import(path.join(local, 'nats-finder.js'))) as NatsModule;
  const processes = (await import(path.join(local, 'processes.js'))) as ProcessesModule;
  await sweep(processes);
  const dir = mkdtempSync(path.join(os.tmpdir(), prefix));
  // As root the server runs as the user postgres, who has to pass through.
  chmodSync(dir, 0o711);
  writeFileSync(path.join(dir, 'owner.json'), JSON.stringify(processes.identify(process.pid)));
  // Two workers may each run a stack of five services; writes are as durable as they are in earnest.
  const settings = { max_connections: '400', shared_buffers: '64MB', max_wal_size: '1GB' };
  const server = await startPostgres({
    dir: path.join(dir, 'postgres'),
    log: path.join(dir, 'postgres.log'),
    settings,
  });
  process.env.RUNLEDGER_TEST_DIR = dir;
  process.env.RUNLEDGER_TEST_DATABASE = server.url;
  const nats = await findNats();
  process.env.RUNLEDGER_TEST_NATS = nats ?? '';
  if (nats === null) process.stderr.write(`\nThe tests that need a nats-server are skipped. ${howToGetNats}\n`);
  globalThis.stopTestPostgres = () => server.stop();
}

/** Ends and removes what a test run that was killed has left: its owner is gone, its folder is not. */
async function sweep(processes: ProcessesModule): Promise<void> {
  for (const name of readdirSync(os.tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const dir = path.join(os.tmpdir(), name);
    const owner = readJson(path.join(dir, 'owner.json')) as Parameters<typeof processes.isRunning>[0] | undefined;
    if (owner === undefined || processes.isRunning(owner)) continue;
    for (const file of pidFiles(dir)) await processes.endLeftovers(file);
    const pid = Number(readText(path.join(dir, 'postgres/postmaster.pid'))?.split('\n')[0]);
    const postgres = pid ? processes.identify(pid) : undefined;
    if (postgres && processes.commandLine(pid).includes(`-D ${dir}/postgres `)) {
      await processes.endProcess(postgres, { signal: 'SIGQUIT' });
    }
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Each test server and stack keeps its pids in a file of one of these names, the outer ones first. */
function pidFiles(dir: string): string[] {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' });
  const named = files.filter((file) => ['stack.json', 'processes.json', 'pid.json'].includes(path.basename(file)));
  return named.sort((a, b) => a.split('/').length - b.split('/').length).map((file) => path.join(dir, file));
}

function readJson(file: string): unknown {
  const text = readText(file);
  return text === undefined ? undefined : JSON.parse(text);
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

declare global {
  var stopTestPostgres: (() => Promise<void>) | undefined;
}
