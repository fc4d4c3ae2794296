import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { withStore } from '#ledger';
import { Context } from '#service';

interface Key {
  kid: string;
  private_pem: string;
  public_pem: string;
}

/** The ES256 keys that tokens are signed with; made once, whichever auth starts first. */
@Injectable()
export class Keys {
  private newest: Key | null = null;
  private readonly jwt = new JwtService({});

  constructor(private readonly context: Context) {}

  async sign(claims: { sub: string; sid: string; exp: number }): Promise<string> {
    this.newest ??= await this.ensure();
    const { kid, private_pem } = this.newest;
    return this.jwt.signAsync(claims, {
      ...{ algorithm: 'ES256', keyid: kid, privateKey: private_pem },
      ...{ issuer: 'runledger', audience: 'runledger' },
    });
  }

  async publicKeys(): Promise<{ kid: string; pem: string }[]> {
    await this.ensure();
    const { rows } = await withStore(() => this.context.pool.query<Key>('select kid, public_pem from signing_key'));
    return rows.map(({ kid, public_pem }) => ({ kid, pem: public_pem }));
  }

  private async ensure(): Promise<Key> {
    const { pool } = this.context;
    const newest = 'select kid, private_pem, public_pem from signing_key order by created_at desc limit 1';
    const found = await withStore(() => pool.query<Key>(newest));
    if (found.rows[0]) return found.rows[0];
    const pair = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const text = `insert into signing_key (kid, private_pem, public_pem)
      select $1, $2, $3 where not exists (select from signing_key)`;
    await withStore(() => pool.query(text, [randomUUID(), pair.privateKey, pair.publicKey]));
    return (await withStore(() => pool.query<Key>(newest))).rows[0]!;
  }
}
