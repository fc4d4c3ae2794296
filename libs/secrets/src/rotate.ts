import { setTimeout as sleep } from 'node:timers/promises';
import { unwrap, wrap } from './envelope.js';
import { MasterKeyError, newKey, readKeys, replaceKeys, type MasterKey } from './master-keys.js';
import { type SecretDatabase } from './secrets.js';

interface Wrapped {
  id: string;
  key_id: string;
  wrapped: Buffer;
}

const together = 500;
/** Services look at the file each second, and what they have in hand then is stored a moment later. */
const noticedWithin = 5_000;

/** Puts a new key first in the file and wraps every secret with it, while everything goes on. Answers how many. */
export async function rotate(database: SecretDatabase, file: string, pause = noticedWithin): Promise<number> {
  replaceKeys(file, [newKey(), ...readKeys(file)]);
  await sleep(pause);
  return rewrap(database, readKeys(file));
}

/** Takes the former keys out of the file, once nothing is wrapped with them any more. Answers how many there were. */
export async function forgetFormer(database: SecretDatabase, file: string): Promise<number> {
  const keys = readKeys(file);
  await rewrap(database, keys);
  replaceKeys(file, keys.slice(0, 1));
  return keys.length - 1;
}

/** The values stay as they are: only their keys are wrapped anew. */
async function rewrap(database: SecretDatabase, keys: MasterKey[]): Promise<number> {
  const current = keys[0]!;
  let done = 0;
  for (;;) {
    const text = 'select id, key_id, wrapped from secret where key_id <> $1 order by id limit $2';
    const rows = (await database.query(text, [current.id, together])).rows as Wrapped[];
    if (rows.length === 0) return done;
    const anew = rows.map(({ id, key_id, wrapped }) => {
      const master = keys.find((key) => key.id === key_id);
      if (!master)
        throw new MasterKeyError(`Secret ${id} is wrapped with the key ${key_id}, which the file does not hold`);
      return wrap(current.key, id, unwrap(master.key, id, wrapped));
    });
    const update = `update secret s set key_id = $1, wrapped = r.wrapped
      from unnest($2::uuid[], $3::bytea[]) as r(id, wrapped) where s.id = r.id`;
    await database.query(update, [current.id, rows.map(({ id }) => id), anew]);
    done += rows.length;
  }
}
