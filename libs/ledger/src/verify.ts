import { type Pool } from 'pg';

export interface Verification {
  ok: boolean;
  /** Events whose digests were recomputed. */
  checked: string;
  /** The first position that does not stand as it was written, with what is wrong there. */
  firstBad?: { position: string; problem: 'missing' | 'event' | 'block'; text: string };
  /** Newest position and the chain's hash there: keep it elsewhere, and a cut tail shows. */
  head: { position: string; hash: string };
}

type Bad = NonNullable<Verification['firstBad']>;

const span = 20_000n;

/**
 * Recomputes digests and chain over the whole blocks around `from`..`to` and names the first bad position, or the block
 * where data and digest were both rewritten.
 */
export async function verify(pool: Pool, from = 1n, to?: bigint): Promise<Verification> {
  const newest = await one<{ last: string; hash: string }>(
    pool,
    `select last::text, encode(hash, 'hex') as hash from block order by first desc limit 1`,
    [],
  );
  const head = { position: newest?.last ?? '0', hash: newest?.hash ?? '' };
  const start = (await edge(pool, 'first', from)) ?? from;
  const end = to === undefined ? await top(pool, BigInt(head.position)) : ((await edge(pool, 'last', to)) ?? to);
  let checked = 0n;
  for (let first = start; first <= end; first += span) {
    const last = first + span - 1n < end ? first + span - 1n : end;
    const { events, bad } = await digests(pool, first, last);
    checked += BigInt(events);
    const firstBad = earlier(bad, await badBlock(pool, first, last));
    if (firstBad) return { ok: false, checked: String(checked), firstBad, head };
  }
  const firstBad = await uncovered(pool, start, end);
  return { ok: !firstBad, checked: String(checked), ...(firstBad ? { firstBad } : {}), head };
}

async function one<Row extends object>(pool: Pool, text: string, values: bigint[]): Promise<Row | undefined> {
  return (await pool.query<Row>(text, values.map(String))).rows[0];
}

/** Where the block begins or ends that holds a position. */
async function edge(pool: Pool, side: 'first' | 'last', position: bigint): Promise<bigint | undefined> {
  const text = `select ${side}::text as edge from block where first <= $1 and last >= $1 order by first desc limit 1`;
  const found = await one<{ edge: string }>(pool, text, [position]);
  return found && BigInt(found.edge);
}

async function top(pool: Pool, head: bigint): Promise<bigint> {
  const newest = await one<{ position: string | null }>(pool, 'select max(position)::text as position from event', []);
  const position = BigInt(newest?.position ?? 0);
  return position > head ? position : head;
}

/** A bad event says more than the block around it: the block is named only where it ends before that event. */
function earlier(event: Bad | undefined, block: (Bad & { last: string }) | undefined): Bad | undefined {
  if (block && (!event || BigInt(block.last) < BigInt(event.position))) {
    const { position, problem, text } = block;
    return { position, problem, text };
  }
  return event;
}

async function digests(pool: Pool, first: bigint, last: bigint): Promise<{ events: number; bad?: Bad }> {
  const text = `select count(*)::integer as events, (min(position) filter (where digest is distinct from event_digest(position, id,
      stream, version, type, schema, data::text, meta::text, extract(epoch from recorded_at))))::text as changed
    from event where position between $1 and $2`;
  const { events, changed } = (await one<{ events: number; changed: string | null }>(pool, text, [first, last]))!;
  const gap = BigInt(events) === last - first + 1n ? undefined : await firstMissing(pool, first, last);
  if (gap && (changed === null || BigInt(gap) < BigInt(changed))) {
    return { events, bad: { position: gap, problem: 'missing', text: `there is no event ${gap}` } };
  }
  if (changed === null) return { events };
  return {
    events,
    bad: { position: changed, problem: 'event', text: `event ${changed} does not match its digest` },
  };
}

async function firstMissing(pool: Pool, first: bigint, last: bigint): Promise<string | undefined> {
  const text = `select p::text as position from generate_series($1::bigint, $2::bigint) p
    where not exists (select from event e where e.position = p) order by p limit 1`;
  return (await one<{ position: string }>(pool, text, [first, last]))?.position;
}

/** Blocks that begin within the span: each must cover its events' digests and continue the block before it. */
async function badBlock(pool: Pool, first: bigint, last: bigint): Promise<(Bad & { last: string }) | undefined> {
  const text = `with chain as (
      select b.first, b.last, b.previous, b.hash, lag(b.hash) over (order by b.first) as hash_before,
        lag(b.last) over (order by b.first) as last_before
      from block b where b.first <= $2 and b.first >= coalesce((select max(p.first) from block p where p.first < $1), 0)
    ), judged as (
      select c.first, c.last,
        c.previous = coalesce(c.hash_before, ''::bytea) and c.first = coalesce(c.last_before, 0) + 1 and c.last >= c.first as chained,
        c.hash = sha256(c.previous || coalesce((select string_agg(e.digest, ''::bytea order by e.position)
          from event e where e.position between c.first and c.last), ''::bytea)) as whole
      from chain c where c.first >= $1
    )
    select first::text, last::text, whole from judged where not chained or not whole order by judged.first limit 1`;
  const bad = await one<{ first: string; last: string; whole: boolean }>(pool, text, [first, last]);
  if (!bad) return undefined;
  const why = bad.whole ? 'does not continue the one before it' : 'does not match its events';
  return { position: bad.first, problem: 'block', text: `block ${bad.first}-${bad.last} ${why}`, last: bad.last };
}

/** Blocks follow each other without a gap, so only behind the last one can events stand in none. */
async function uncovered(pool: Pool, start: bigint, end: bigint): Promise<Bad | undefined> {
  if (end < start || (await edge(pool, 'last', end)) !== undefined) return undefined;
  const newest = await one<{ last: string | null }>(
    pool,
    'select max(last)::text as last from block where first <= $1',
    [end],
  );
  const position = String(BigInt(newest?.last ?? 0) + 1n);
  return { position, problem: 'block', text: `no block covers event ${position}` };
}
