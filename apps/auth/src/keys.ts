import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { type ClientBase } from 'pg';
import { inTransaction, withStore } from '#ledger';
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
    return withStore(() =>
      inTransaction(pool, async (client) => {
        // A look before anybody else's commit would see no key and make a second one.
        await client.query('lock table signing_key in exclusive mode');
        const theirs = await client.query<Key>(newest);
        return theirs.rows[0] ?? this.make(client);
      }),
    );
  }

  private async make(client: ClientBase): Promise<Key> {
    const pair = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    const text = `insert into signing_key (kid, private_pem, public_pem) values ($1, $2, $3)
      returning kid, private_pem, public_pem`;
    return (await client.query<Key>(text, [randomUUID(), pair.privateKey, pair.publicKey])).rows[0]!;
  }
}
