import { type ClientBase, type PoolClient } from 'pg';
import { inTransaction, moveCheckpoint } from './follow.js';
import { type Ledger } from './ledger.js';
import { categoryOf, type Projection } from './projection.js';

export interface RebuildOptions {
  batch?: number;
  onProgress?: (done: bigint, head: bigint) => void;
}

const shadow = (table: string) => `${table}_next`;

/**
 * Fills a shadow of a read model while the live one goes on, and swaps it in when it has caught up. Killed half-way it
 * leaves only the shadow, which the next rebuild begins anew. Answers the position that the new table stands at.
 */
export async function rebuild(
  ledger: Ledger,
  projection: Projection,
  { batch = 5_000, onProgress = () => {} }: RebuildOptions = {},
): Promise<bigint> {
  const guard = await ledger.pool.connect();
  try {
    const { rows } = await guard.query<{ free: boolean }>('select pg_try_advisory_lock(hashtext($1)) as free', [
      `rebuild ${projection.name}`,
    ]);
    if (!rows[0]?.free) throw new Error(`another rebuild of ${projection.name} is under way`);
    await makeShadows(guard, projection);
    const reached = await fill(ledger, projection, batch, onProgress);
    return await swap(ledger, projection, reached, batch);
  } finally {
    guard.release(true);
  }
}

async function makeShadows(client: ClientBase, { tables }: Projection): Promise<void> {
  for (const table of tables) {
    await client.query(`drop table if exists ${shadow(table)}`);
    await client.query(`create table ${shadow(table)} (like ${table} including all)`);
  }
}

async function fill(
  ledger: Ledger,
  projection: Projection,
  batch: number,
  onProgress: NonNullable<RebuildOptions['onProgress']>,
): Promise<bigint> {
  let at = 0n;
  let next = ledger.readFrom(at, batch);
  for (;;) {
    const events = await next;
    const last = events.at(-1);
    if (!last) return at;
    at = BigInt(last.position);
    next = ledger.readFrom(at, batch);
    next.catch(() => {});
    await inTransaction(ledger, (client) => applyTo(client, projection, events));
    onProgress(at, at);
    if (events.length < batch) return at;
  }
}

async function applyTo(
  client: ClientBase,
  projection: Projection,
  events: Awaited<ReturnType<Ledger['readFrom']>>,
): Promise<void> {
  const mine = events.filter(({ stream }) => projection.categories.includes(categoryOf(stream)));
  if (mine.length > 0) await projection.apply({ client, table: shadow }, mine);
}

/** Holds the live checkpoint, catches up to it and changes the names, all in one transaction. */
async function swap(ledger: Ledger, projection: Projection, from: bigint, batch: number): Promise<bigint> {
  return inTransaction(ledger, async (client) => {
    const { name, tables } = projection;
    await client.query('insert into checkpoint values ($1, 0) on conflict do nothing', [name]);
    const { rows } = await client.query<{ position: string }>(
      'select position from checkpoint where name = $1 for update',
      [name],
    );
    const live = BigInt(rows[0]!.position);
    let at = from;
    while (at < live) {
      const room = Number(live - at < BigInt(batch) ? live - at : BigInt(batch));
      const events = await ledger.readFrom(at, room);
      await applyTo(client, projection, events);
      at = BigInt(events.at(-1)!.position);
    }
    for (const table of tables) await exchange(client, table);
    await client.query('delete from parked where name = $1', [name]);
    await moveCheckpoint(client, name, live, at);
    return at;
  });
}

async function exchange(client: PoolClient, table: string): Promise<void> {
  await client.query(`drop table ${table}`);
  await client.query(`alter table ${shadow(table)} rename to ${table}`);
  const text = 'select indexname from pg_indexes where tablename = $1 and schemaname = current_schema()';
  const { rows } = await client.query<{ indexname: string }>(text, [table]);
  for (const { indexname } of rows) {
    const plain = indexname.replace(`${table}_next_`, `${table}_`);
    if (plain !== indexname) await client.query(`alter index "${indexname}" rename to "${plain}"`);
  }
}
