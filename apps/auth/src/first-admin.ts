import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { derivedId, newId, user } from '#domain';
import { handle } from '#ledger';
import { Context, systemMeta } from '#service';
import { hashPassword, isPassword } from './passwords.js';

const adminId = derivedId('user', 'first admin');

/** Makes the first admin of an empty ledger: with the environment's password, or one that is generated and kept 0600. */
@Injectable()
export class FirstAdmin implements OnApplicationBootstrap {
  constructor(private readonly context: Context) {}

  async onApplicationBootstrap(): Promise<void> {
    const { pool, ledger, config, log } = this.context;
    const { rows } = await pool.query('select from account limit 1');
    if (rows.length > 0) return;
    const password = config.RUNLEDGER_ADMIN_PASSWORD ?? (await this.generated());
    const hash = await hashPassword(password);
    const username = config.RUNLEDGER_ADMIN_USERNAME;
    const email = config.RUNLEDGER_ADMIN_EMAIL;
    const number = await ledger.number('user');
    const meta = systemMeta(derivedId('register', adminId), newId());
    const data = { number, username, email, role: 'admin' as const };
    const { events, repeated } = await handle(
      ledger,
      user,
      adminId,
      { type: 'RegisterUser', meta, data },
      {
        alongside: () => ({ account_add: [{ id: adminId, ...data, hash, createdAt: meta.now }] }),
      },
    );
    if (events.length > 0 && !repeated) log.info({ username }, 'first admin made');
    else if (config.RUNLEDGER_ADMIN_PASSWORD === undefined) await this.forgetUnused(password);
  }

  /** Another auth, with a folder of its own, made the admin: what we have written opens nothing. */
  private async forgetUnused(password: string): Promise<void> {
    const { pool, config } = this.context;
    const { rows } = await pool.query<{ hash: string }>('select password_hash as hash from account where id = $1', [
      adminId,
    ]);
    if (!(await isPassword(rows[0]?.hash ?? null, password))) await forgetFirstPassword(adminId, config.dataDir);
  }

  /** Written before it is used, so that a crash in between locks nobody out; whoever is second takes the first one's. */
  private async generated(): Promise<string> {
    const file = passwordFile(this.context.config.dataDir);
    await mkdir(path.dirname(file), { recursive: true });
    const fresh = randomBytes(15).toString('base64url');
    // Under its name it is whole from the start: half a password read by the other auth would become the admin's.
    const draft = `${file}.${randomBytes(6).toString('hex')}`;
    await writeFile(draft, `${fresh}\n`, { mode: 0o600, flag: 'wx' });
    try {
      await chmod(draft, 0o600);
      await link(draft, file);
      return fresh;
    } catch (error) {
      if ((error as { code?: string }).code !== 'EEXIST') throw error;
      return await kept(file);
    } finally {
      await rm(draft, { force: true });
    }
  }
}

/** A file that a crash or a person left empty is no password. */
async function kept(file: string): Promise<string> {
  const password = (await readFile(file, 'utf8')).trim();
  if (password.length < 8) throw new Error(`${file} holds no password: remove it`);
  return password;
}

const passwordFile = (dataDir: string) => path.join(dataDir, 'admin-password');

/** Once the first password is replaced, its file would only mislead. */
export async function forgetFirstPassword(userId: string, dataDir: string): Promise<void> {
  if (userId === adminId) await rm(passwordFile(dataDir), { force: true });
}
