import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { derivedId, newId, user } from '#domain';
import { handle } from '#ledger';
import { Context, systemMeta } from '#service';
import { hashPassword } from './passwords.js';

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
    const { repeated } = await handle(
      ledger,
      user,
      adminId,
      { type: 'RegisterUser', meta, data },
      {
        alongside: () => ({ account_add: [{ id: adminId, ...data, hash, createdAt: meta.now }] }),
      },
    );
    if (!repeated) log.info({ username }, 'first admin made');
  }

  /** Written before it is used, so that a crash in between locks nobody out; whoever is second takes the first one's. */
  private async generated(): Promise<string> {
    const file = passwordFile(this.context.config.dataDir);
    await mkdir(path.dirname(file), { recursive: true });
    const fresh = randomBytes(15).toString('base64url');
    try {
      await writeFile(file, `${fresh}\n`, { mode: 0o600, flag: 'wx' });
      await chmod(file, 0o600);
      return fresh;
    } catch (error) {
      if ((error as { code?: string }).code !== 'EEXIST') throw error;
      return (await readFile(file, 'utf8')).trim();
    }
  }
}

const passwordFile = (dataDir: string) => path.join(dataDir, 'admin-password');

/** Once the first password is replaced, its file would only mislead. */
export async function forgetFirstPassword(userId: string, dataDir: string): Promise<void> {
  if (userId === adminId) await rm(passwordFile(dataDir), { force: true });
}
