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

interface Checked {
  position: string;
  good: boolean;
}
interface Block {
  first: string;
  last: string;
  chained: boolean;
  whole: boolean;
}

interface BadBlock {
  last: string;
  bad: NonNullable<Verification['firstBad']>;
}

const span = 20_000n;

/**
 * Recomputes digests and chain over `from`..`to` (whole blocks) and names the first bad position, or the block where
 * data and digest were both rewritten.
 */
export async function verify(pool: Pool, from = 1n, to?: bigint): Promise<Verification> {
  const newest = await pool.query<{ last: string; hash: Buffer }>(
    'select last, hash from block order by first desc limit 1',
  );
  const head = { position: String(newest.rows[0]?.last ?? 0), hash: newest.rows[0]?.hash.toString('hex') ?? '' };
  const top = await pool.query<{ position: string | null }>('select max(position) as position from event');
  const end = to ?? maximum(BigInt(head.position), BigInt(top.rows[0]?.position ?? 0));
  let checked = 0n;
  for (let start = from; start <= end; start += span) {
    const stop = start + span - 1n < end ? start + span - 1n : end;
    const events = await digests(pool, start, stop);
    const bad = earlier(firstBadEvent(events, start, stop), await firstBadBlock(pool, start, stop));
    checked += BigInt(events.length);
    if (bad) return { ok: false, checked: String(checked), firstBad: bad, head };
  }
  return { ok: true, checked: String(checked), head };
}

/** A bad event says more than the block around it: the block is named only where it ends before that event. */
function earlier(event: Verification['firstBad'], block: BadBlock | undefined): Verification['firstBad'] {
  if (!event || !block) return event ?? block?.bad;
  return BigInt(block.last) < BigInt(event.position) ? block.bad : event;
}

const maximum = (a: bigint, b: bigint) => (a > b ? a : b);

async function digests(pool: Pool, start: bigint, stop: bigint): Promise<Checked[]> {
  const text = `select position,
      digest = event_digest(position, id, stream, version, type, schema, data, meta, recorded_at) as good
    from event where position between $1 and $2 order by position`;
  return (await pool.query<Checked>(text, [String(start), String(stop)])).rows;
}

function firstBadEvent(events: Checked[], start: bigint, stop: bigint): Verification['firstBad'] {
  let expected = start;
  for (const { position, good } of events) {
    if (BigInt(position) !== expected) return missing(expected);
    if (!good) return { position, problem: 'event', text: `event ${position} does not match its digest` };
    expected++;
  }
  return expected <= stop ? missing(expected) : undefined;
}

function missing(position: bigint): Verification['firstBad'] {
  return { position: String(position), problem: 'missing', text: `there is no event ${position}` };
}

/** Blocks that begin within the span: each must cover its events' digests and continue the block before it. */
async function firstBadBlock(pool: Pool, start: bigint, stop: bigint): Promise<BadBlock | undefined> {
  const text = `select b.first, b.last,
      b.previous = coalesce((select p.hash from block p where p.first < b.first order by p.first desc limit 1), ''::bytea)
        and b.first = coalesce((select p.last from block p where p.first < b.first order by p.first desc limit 1), 0) + 1 as chained,
      b.hash = sha256(b.previous || coalesce(
        (select string_agg(e.digest, ''::bytea order by e.position) from event e where e.position between b.first and b.last), ''::bytea)) as whole
    from block b where b.first between $1 and $2 order by b.first`;
  const { rows } = await pool.query<Block>(text, [String(start), String(stop)]);
  const bad = rows.find(({ chained, whole }) => !chained || !whole);
  if (bad) {
    const why = bad.whole ? 'does not continue the one before it' : 'does not match its events';
    const text = `block ${bad.first}-${bad.last} ${why}`;
    return { last: bad.last, bad: { position: String(bad.first), problem: 'block', text } };
  }
  const covered = await pool.query<{ first: string }>(
    'select first from block where first <= $1 and last >= $1 union all select first from block where first > $1 limit 1',
    [String(stop)],
  );
  if (covered.rows[0]) return undefined;
  return {
    last: String(stop),
    bad: { position: String(stop), problem: 'block', text: `no block covers event ${stop}` },
  };
}
