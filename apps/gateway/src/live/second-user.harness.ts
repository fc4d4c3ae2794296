import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { signIn, type Client, type Stack } from '#testing';

/** A user beside the first admin, with the admin's password: no surface makes one of the role `user` yet. */
export async function addUser(databaseUrl: string, username: string, role: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ hash: string }>(
      'select password_hash as hash from account order by number limit 1',
    );
    const { rows: numbers } = await client.query<{ number: number }>(`select nextval('user_number')::int as number`);
    const row = { n: 0, id: randomUUID(), username, email: `${username}@example.com`, role };
    const made = { ...row, number: numbers[0]!.number, hash: rows[0]!.hash, createdAt: new Date().toISOString() };
    await client.query(`select account_add($1, '{}', now())`, [JSON.stringify([made])]);
    return row.id;
  } finally {
    await client.end();
  }
}

/** The same, signed in. */
export async function newcomer(stack: Stack, username: string, role: string): Promise<Client> {
  await addUser(stack.databaseUrl, username, role);
  return signIn(stack, username);
}
