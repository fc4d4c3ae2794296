import { type Pool } from 'pg';
import { isOver, runStatuses } from '#domain';
import { withStore } from '#ledger';

/** How old a finished run may become (milliseconds), and how many of a kind are kept; null for no limit. */
export interface Limits {
  age: number | null;
  count: number | null;
}

export interface Expired {
  id: string;
  name: string;
  status: string;
  finishedAt: string;
}

interface Seen extends Expired {
  born: string;
  young: boolean;
  old: boolean;
}

const page = 500;
const over = runStatuses.filter(isOver);
/** `run_view.born` in an order: `born` alone is the text. */
const columns = `id, born::text, status, row::json->>'name' as name, row::json->>'finishedAt' as "finishedAt"`;

/** The finished runs for which these limits leave no place, in pages; none twice. */
export async function* expired(pool: Pool, { age, count }: Limits): AsyncGenerator<Expired[]> {
  const before = age === null ? null : await instantBefore(pool, age);
  if (before !== null) yield* tooOld(pool, before);
  if (count !== null) yield* tooMany(pool, count, before);
}

/** Oldest first, as far as what was requested before the instant: nothing younger is looked at, however much there is. */
async function* tooOld(pool: Pool, before: string): AsyncGenerator<Expired[]> {
  const text = `select ${columns}, requested_at >= $2 as young,
      status = any($3) and (row::json->>'finishedAt')::timestamptz < $2 as old
    from run_view where born > $1 order by run_view.born limit ${page}`;
  for (let after: string | undefined = '0'; after !== undefined;) {
    const rows: Seen[] = await ask(pool, 'retention-old', text, [after, before, over]);
    const last = rows.at(-1);
    yield rows.filter(({ old }) => old);
    after = rows.length === page && !last!.young ? last!.born : undefined;
  }
}

/** All but the newest of each process, and of the runs without a process all but each owner's newest. `since`: older ones were named. */
async function* tooMany(pool: Pool, count: number, since: string | null): AsyncGenerator<Expired[]> {
  const processes = await ask<{ id: string }>(pool, 'retention-processes', 'select id from process_view order by born');
  for (const { id } of processes) yield* beyond(pool, 'process_id = $4', id, count, since);
  const owners = await ask<{ id: string }>(
    pool,
    'retention-owners',
    'select distinct owner as id from run_count order by 1',
  );
  for (const { id } of owners) yield* beyond(pool, 'owner = $4 and process_id is null', id, count, since);
}

async function* beyond(pool: Pool, which: string, id: string, count: number, since: string | null) {
  const text = `select ${columns} from run_view where ${which} and status = any($1) and born < $2
      and ($3::timestamptz is null or (row::json->>'finishedAt')::timestamptz >= $3)
    order by run_view.born desc offset $5 limit ${page}`;
  let skipped = count;
  for (let below: string | undefined = '9223372036854775807'; below !== undefined;) {
    const rows: Seen[] = await ask(pool, `retention-beyond ${which}`, text, [over, below, since, id, skipped]);
    yield rows;
    skipped = 0;
    below = rows.length === page ? rows.at(-1)!.born : undefined;
  }
}

async function instantBefore(pool: Pool, age: number): Promise<string> {
  const text = `select (clock_timestamp() - $1 * interval '1 millisecond')::text as at`;
  return (await ask<{ at: string }>(pool, 'retention-instant', text, [age]))[0]!.at;
}

async function ask<T extends object>(pool: Pool, name: string, text: string, values: unknown[] = []): Promise<T[]> {
  return (await withStore(() => pool.query<T>({ name, text, values }))).rows;
}
