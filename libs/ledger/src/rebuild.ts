import { setTimeout as delay } from 'node:timers/promises';
import { type ClientBase, type Pool, type PoolClient } from 'pg';
import { type Ledger } from './ledger.js';
import { type Projection } from './projection.js';
import { exchange, makeShadow, shadowOf } from './shadow.js';
import { type FoldedEvent } from './stored.js';
import { inTransaction } from './transaction.js';

export interface RebuildOptions {
  batch?: number;
  onProgress?: (done: bigint, head: bigint) => void;
}

type Progress = NonNullable<RebuildOptions['onProgress']>;

const swapTries = 200;

/**
 * Fills a shadow of a read model while the live one goes on, and swaps it in when it has caught up. Killed half-way it
 * leaves only the shadow, which the next rebuild begins anew. Answers the position that the new table stands at.
 */
export async function rebuild(
  ledger: Ledger,
  projection: Projection,
  { batch = 5_000, onProgress = () => {} }: RebuildOptions = {},
): Promise<bigint> {
  const guard = await takeGuard(ledger.pool, projection.name);
  try {
    const indexes: string[] = [];
    for (const table of projection.tables) indexes.push(...(await makeShadow(guard.client, table)));
    let reached = await fill(ledger, projection, 0n, batch, guard, onProgress);
    await guard.client.query(`set maintenance_work_mem = '128MB'`);
    for (const index of indexes) await guard.client.query(index);
    for (let attempt = 1; ; attempt++) {
      reached = await fill(ledger, projection, reached, batch, guard, onProgress);
      try {
        return await swap(ledger, projection, reached, batch, guard);
      } catch (error) {
        // A long query reads the live table: it is let finish, and nobody queues behind the swap meanwhile.
        if ((error as { code?: unknown }).code !== '55P03' || attempt === swapTries) throw error;
        await delay(150);
      }
    }
  } finally {
    await guard.release();
  }
}

interface Guard {
  client: PoolClient;
  /** Throws when the lock is lost: somebody else may be filling the same shadow by now. */
  check(): void;
  release(): Promise<void>;
}

/** One rebuild of a name at a time: a session's lock, so that it ends with its process. */
async function takeGuard(pool: Pool, name: string): Promise<Guard> {
  const client = await pool.connect();
  let lost: Error | undefined;
  client.on('error', (error: Error) => (lost = error));
  const check = () => {
    if (lost) throw new Error(`the rebuild of ${name} lost its connection`, { cause: lost });
  };
  const release = async () => {
    // The session's end would let go of it too, but a moment later.
    await client.query('select pg_advisory_unlock_all()').catch(() => {});
    client.release(true);
  };
  try {
    const text = 'select pg_try_advisory_lock(hashtextextended($1, 0)) as free';
    const { rows } = await client.query<{ free: boolean }>(text, [`rebuild ${name}`]);
    if (!rows[0]?.free) throw new Error(`another rebuild of ${name} is under way`);
  } catch (error) {
    await release();
    throw error;
  }
  return { client, check, release };
}

async function fill(
  ledger: Ledger,
  projection: Projection,
  from: bigint,
  batch: number,
  guard: Guard,
  onProgress: Progress,
): Promise<bigint> {
  let at = from;
  let head = BigInt(await ledger.head());
  let next = ledger.readBulk(projection.categories, at, batch);
  for (;;) {
    const { events, to, full } = await next;
    if (to === at) return at;
    at = to;
    next = ledger.readBulk(projection.categories, at, batch);
    next.catch(() => {});
    guard.check();
    await inTransaction(ledger.pool, async (client) => {
      // The swap's own commit makes all of it durable.
      await client.query('set local synchronous_commit = off');
      await applyTo(client, projection, events);
    });
    if (at > head) head = at;
    onProgress(at, head);
    if (!full) return at;
  }
}

async function applyTo(client: ClientBase, projection: Projection, events: FoldedEvent[]): Promise<void> {
  if (events.length > 0) await projection.apply({ client, table: shadowOf }, events);
}

/** Holds the live checkpoint, catches up to it and changes the names, all in one transaction. */
async function swap(
  ledger: Ledger,
  projection: Projection,
  from: bigint,
  batch: number,
  guard: Guard,
): Promise<bigint> {
  const { name, tables } = projection;
  return inTransaction(ledger.pool, async (client) => {
    await client.query(`set local lock_timeout = '250ms'`);
    await client.query('insert into checkpoint (name, position) values ($1, 0) on conflict do nothing', [name]);
    const text = 'select position::text from checkpoint where name = $1 for update';
    const { rows } = await client.query<{ position: string }>(text, [name]);
    const live = BigInt(rows[0]!.position);
    let at = from;
    while (at < live) {
      const room = live - at < BigInt(batch) ? Number(live - at) : batch;
      const { events, to } = await ledger.readBulk(projection.categories, at, room);
      await applyTo(client, projection, events);
      at = to;
    }
    guard.check();
    for (const table of tables) await exchange(client, table);
    await client.query('delete from parked where name = $1', [name]);
    // The new epoch makes every follower look anew, and so forget what it had parked.
    await client.query('update checkpoint set position = $2, epoch = epoch + 1 where name = $1', [name, String(at)]);
    return at;
  });
}
