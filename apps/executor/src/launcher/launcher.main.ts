/** The launcher's process: `launcher.main.js --dir <dir> [--dead-man-ms n] [--idle-exit-ms n] [--hold-bytes n]`. */
import { randomInt } from 'node:crypto';
import { openSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Launcher } from './launcher.js';
import { becomeSubreaper, dropInherited, kill, lock } from './libc.js';
import { place, type Place } from './place.js';
import { orphans, snapshot, tagFamily } from './proc.js';

const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    'dead-man-ms': { type: 'string', default: '15000' },
    'idle-exit-ms': { type: 'string', default: '60000' },
    'hold-bytes': { type: 'string', default: String(8 * 1024 * 1024) },
  },
});

/** A former launcher may be on its way out; one that stays serves whoever wanted this one. */
async function own(path: string): Promise<boolean> {
  const fd = openSync(path, 'w', 0o600);
  for (const until = performance.now() + 5000; performance.now() < until; await sleep(20)) if (lock(fd)) return true;
  return false;
}

const readLines = (path: string): string[] => {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
};

/**
 * Everything that a launcher killed before us had started dies: nobody reads its pipes, nobody knows how it ends. Each
 * line of the file is a boot and a family of tags, which costs nothing a run and survives any death of the process.
 */
async function sweep(files: Place, boot: string): Promise<void> {
  const families = readLines(files.families).flatMap((line) => {
    const [when, family] = line.split(' ');
    return when === boot && family && /^\d+$/.test(family) ? [BigInt(family)] : [];
  });
  if (families.length === 0) return;
  const wanted = new Set(families);
  for (let clean = 0, round = 0; clean < 2 && round < 200; round++) {
    const found = orphans(snapshot(), wanted);
    clean = found.length === 0 ? clean + 1 : 0;
    // All are stopped before the first dies, so that none can start another in between.
    for (const each of found) kill(each.pid, 'SIGSTOP');
    if (round % 2 === 1 || found.length === 1) for (const each of found) kill(each.pid, 'SIGKILL');
    await sleep(clean > 0 ? 2 : 10);
  }
}

async function main(dir: string): Promise<void> {
  dropInherited();
  const files = place(dir);
  if (!(await own(files.lock))) return;
  becomeSubreaper();
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  await sweep(files, boot);
  const family = tagFamily(randomInt(0x1fffffff));
  writeFileSync(files.families, `${boot} ${family}\n`, { mode: 0o600 });
  rmSync(files.socket, { force: true });
  const launcher = new Launcher({
    spoolDir: files.spool,
    family,
    deadManMs: Number(values['dead-man-ms']),
    idleExitMs: Number(values['idle-exit-ms']),
    holdBytes: Number(values['hold-bytes']),
    onExit: () => {
      rmSync(files.socket, { force: true });
      process.exit(0);
    },
  });
  const server = createServer((socket) => launcher.accept(socket));
  server.on('error', (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
  server.listen(files.socket, () => chmodSync(files.socket, 0o600));
  process.on('SIGTERM', () => launcher.shutdown(10_000));
  process.on('SIGINT', () => launcher.shutdown(10_000));
  process.on('SIGHUP', () => undefined);
  // Whatever it is, a hundred commands of others depend on this process: it is written down and life goes on.
  process.on('uncaughtException', (error) => process.stderr.write(`${new Date().toISOString()} ${error.stack}\n`));
}

if (!values.dir) throw new Error('launcher.main.js needs --dir');
await main(values.dir);
