/** Where a nats-server comes from: PATH, the cache folder, or Debian's package, which is fetched and unpacked without root. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from './environment.js';

const run = promisify(execFile);

export const howToGetNats =
  'There is no nats-server here. Install one ("apt install nats-server", "brew install nats-server", or a release of ' +
  'github.com/nats-io/nats-server) so that it is on PATH or at .cache/nats-server, or set NATS_URL to a server that runs.';

/** Null when there is none and none can be had within a minute. */
export async function findNats(
  cacheDir: string = path.join(projectRoot(), '.cache'),
  signal?: AbortSignal,
): Promise<string | null> {
  const onPath = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  for (const folder of [...onPath, path.resolve(cacheDir)]) {
    const binary = path.join(folder, 'nats-server');
    if (await works(binary)) return binary;
  }
  const bound = AbortSignal.timeout(60_000);
  return fetchDebian(path.resolve(cacheDir), signal ? AbortSignal.any([bound, signal]) : bound).catch(() => null);
}

async function works(binary: string): Promise<boolean> {
  try {
    await access(binary, constants.X_OK);
    await run(binary, ['-v'], { timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/** Trixie's 2.10 needs only libc6 >= 2.34, so it runs on Debian 12 too, whose own 2.9 is old. The system's apt stays as it is. */
async function fetchDebian(cacheDir: string, signal: AbortSignal): Promise<string> {
  const work = await mkdtemp(path.join(os.tmpdir(), 'runledger-nats-'));
  try {
    const options = await aptOptions(work, signal);
    await run('apt-get', [...options, 'update'], { signal });
    await run('apt-get', [...options, 'download', 'nats-server'], { signal, cwd: path.join(work, 'deb') });
    const deb = (await readdir(path.join(work, 'deb'))).find((name) => name.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get downloaded nothing');
    await run('dpkg', ['-x', path.join(work, 'deb', deb), path.join(work, 'x')], { signal });
    return await install(path.join(work, 'x/usr/sbin/nats-server'), cacheDir);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function aptOptions(work: string, signal: AbortSignal): Promise<string[]> {
  for (const folder of ['lists/partial', 'cache/archives/partial', 'deb']) {
    await mkdir(path.join(work, folder), { recursive: true });
  }
  const targets = await run('apt-get', ['indextargets', '--no-release-info', '--format', '$(SITE)'], { signal });
  const site = targets.stdout.split('\n').find((line) => /\/debian\/*$/.test(line));
  if (site === undefined) throw new Error('this apt knows no Debian mirror');
  await writeFile(path.join(work, 'sources.list'), `deb ${site} trixie main\n`);
  const settings = [
    `Dir::Etc::sourcelist=${work}/sources.list`,
    `Dir::Etc::sourceparts=${work}/none`,
    `Dir::State::lists=${work}/lists`,
    `Dir::Cache=${work}/cache`,
    `APT::Sandbox::User=${os.userInfo().username}`,
  ];
  return ['-qq', ...settings.flatMap((setting) => ['-o', setting])];
}

/** By rename, so that two starts at once never see half a program. */
async function install(binary: string, cacheDir: string): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  const draft = path.join(cacheDir, `nats-server.${process.pid}`);
  await copyFile(binary, draft);
  await chmod(draft, 0o755);
  if (!(await works(draft))) {
    await rm(draft, { force: true });
    throw new Error('the nats-server of Debian trixie does not run here');
  }
  await rename(draft, path.join(cacheDir, 'nats-server'));
  return path.join(cacheDir, 'nats-server');
}
