/** A fresh database for each test file, on the one PostgreSQL of the test run. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

export interface TestDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** Prepared once in the whole test run, whichever worker comes first, then copied: 50 ms instead of all migrations. */
export interface DatabaseTemplate {
  readonly template: string;
  readonly prepare: (url: string) => Promise<void>;
}

export async function createDatabase(from?: DatabaseTemplate): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  const source = from && (await prepareTemplate(from));
  await withAdmin((admin) => createFrom(admin, name, source ?? 'template1'));
  const drop = () => withAdmin((admin) => admin.query(`drop database if exists ${name} with (force)`));
  return { url: urlOf(name), drop: async () => void (await drop()) };
}

/** Of the database `runledger`, as a superuser. */
export function adminUrl(): string {
  const url = process.env.RUNLEDGER_TEST_DATABASE;
  if (!url) throw new Error('There is no test PostgreSQL: these tests need the global set-up of jest.config.mjs.');
  return url;
}

async function prepareTemplate({ template, prepare }: DatabaseTemplate): Promise<string> {
  const name = `template_${template}`.replaceAll(/[^a-z0-9_]/g, '_');
  await withAdmin(async (admin) => {
    // Held until this session ends; the other workers wait here meanwhile.
    await admin.query('select pg_advisory_lock(hashtext($1))', [name]);
    const found = await admin.query('select 1 from pg_database where datname = $1 and datistemplate', [name]);
    if (found.rowCount) return;
    // Without the mark it is what a worker left that failed half-way.
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.query(`create database ${name}`);
    await prepare(urlOf(name));
    // Nobody may be connected to what is copied, so from now on nobody can be.
    await admin.query(`alter database ${name} with is_template true allow_connections false`);
    await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
  });
  return name;
}

/** A session that is just ending still counts as a user of the template for a moment: 55006. */
async function createFrom(admin: pg.Client, name: string, template: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await admin.query(`create database ${name} template ${template}`);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || attempt === 100) throw error;
      await sleep(50);
    }
  }
}

async function withAdmin<T>(work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: adminUrl() });
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

function urlOf(name: string): string {
  const url = new URL(adminUrl());
  url.pathname = name;
  return url.href;
}
