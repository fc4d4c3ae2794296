import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  isSecret,
  isSecretName,
  newId,
  Refusal,
  type Action,
  type ActionChange,
  type GivenAction,
  type GivenChange,
  type Sealed,
  type SealedSecret,
} from '#domain';
import { open, seal, type Envelope } from './envelope.js';
import { createKeys, MasterKeyError, MasterKeys } from './master-keys.js';

/** What a pool of connections is asked. */
export interface SecretDatabase {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

interface Row extends Envelope {
  id: string;
  key_id: string;
}

/** Sealed like any secret at the first start: who can open it has the right master key. */
const ownId = '00000000-0000-8000-8000-000000000000';
const ownPlace = 'self';

/** An environment in clear, and which of its variables hold secrets. */
export interface OpenEnv {
  env: Record<string, string>;
  secret: string[];
}

/** Closes and opens the secrets of actions. */
export class Secrets {
  private constructor(
    private readonly database: SecretDatabase,
    private readonly keys: MasterKeys,
    private readonly own: Buffer,
  ) {}

  /** Proves that the master key is the one that this database's secrets are wrapped with; makes one for the first. */
  static async start(database: SecretDatabase, file: string): Promise<Secrets> {
    const before = await rowsOf(database, [ownId]);
    if (!existsSync(file)) {
      if (before.length > 0) throw notTheKey(file, 'is missing');
      createKeys(file);
    }
    const keys = new MasterKeys(file);
    if (before.length === 0) await storeOwn(database, keys);
    const [row] = await rowsOf(database, [ownId]);
    try {
      return new Secrets(database, keys, Buffer.from(openRow(keys, row!, ownPlace), 'base64'));
    } catch {
      throw notTheKey(file, 'is another one');
    }
  }

  /** Takes the secrets out of an action: what is marked as one, and what is named like one. */
  seal(action: GivenAction): { action: Action; secrets: SealedSecret[] };
  seal(action: GivenChange): { action: ActionChange; secrets: SealedSecret[] };
  seal(action: GivenChange): { action: ActionChange; secrets: SealedSecret[] } {
    if (action.kind !== 'command' || !action.env) return { action: action as ActionChange, secrets: [] };
    const secrets: SealedSecret[] = [];
    const env = Object.entries(action.env).map(([name, given]) => {
      const value = typeof given === 'string' ? given : given.secret;
      if (value === true) return [name, { secret: true as const }] as const;
      if (value === '' || (given === value && !isSecretName(name))) return [name, value] as const;
      const sealed = this.sealOne(name, value);
      secrets.push(sealed);
      return [name, { sealed: sealed.id }] as const;
    });
    return { action: { ...action, env: Object.fromEntries(env) }, secrets };
  }

  /** The environment that a command is to have; refused when one of its secrets is no more. */
  async open(env: Record<string, string | Sealed>): Promise<OpenEnv> {
    const ids = Object.values(env).flatMap((value) => (typeof value === 'string' ? [] : [value.sealed]));
    const rows = new Map((await rowsOf(this.database, ids)).map((row) => [row.id, row]));
    const clear = Object.entries(env).map(([name, value]) =>
      typeof value === 'string' ? [name, value] : [name, this.opened(name, rows.get(value.sealed))],
    );
    const secret = Object.keys(env).filter((name) => isSecret(name, env[name]));
    return { env: Object.fromEntries(clear) as Record<string, string>, secret };
  }

  /** Tells requests apart, without telling whoever reads the database what is in them. */
  digest(text: string): string {
    return createHmac('sha256', this.own).update(text).digest('base64url');
  }

  /** Opens again as this one and under this name only. */
  sealOne(name: string, value: string): SealedSecret {
    const id = newId();
    const { id: keyId, key } = this.keys.current;
    const envelope = seal(key, id, name, value);
    return { id, keyId, wrapped: envelope.wrapped.toString('base64'), value: envelope.value.toString('base64') };
  }

  private opened(name: string, row: Row | undefined): string {
    if (!row) throw new Refusal('rejected', 'SECRET_GONE', `the secret in ${name} was destroyed`);
    try {
      return openRow(this.keys, row, name);
    } catch {
      throw new Refusal('rejected', 'SECRET_CLOSED', `the secret in ${name} cannot be opened with this master key`);
    }
  }
}

function openRow(keys: MasterKeys, row: Row, place: string): string {
  const master = keys.find(row.key_id);
  if (!master) throw new MasterKeyError(`There is no master key ${row.key_id}`);
  return open(master.key, row.id, place, row);
}

async function rowsOf(database: SecretDatabase, ids: string[]): Promise<Row[]> {
  if (ids.length === 0) return [];
  const { rows } = await database.query('select id, key_id, wrapped, value from secret where id = any($1::uuid[])', [
    ids,
  ]);
  return rows as Row[];
}

/** Whoever starts first makes it; the others find it. */
async function storeOwn(database: SecretDatabase, { current }: MasterKeys): Promise<void> {
  const { wrapped, value } = seal(current.key, ownId, ownPlace, randomBytes(32).toString('base64'));
  const text = 'insert into secret (id, key_id, wrapped, value) values ($1, $2, $3, $4) on conflict do nothing';
  await database.query(text, [ownId, current.id, wrapped, value]);
}

const notTheKey = (file: string, what: string) =>
  new MasterKeyError(
    `The master key ${file} ${what}: this database holds secrets that it cannot open. Put the right file there, or name it in RUNLEDGER_MASTER_KEY_FILE.`,
  );
