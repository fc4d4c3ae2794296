import { type Pool } from 'pg';

/** Where an event stands and what it is, without what it says. */
export interface Head {
  position: string;
  stream: string;
  version: number;
  type: string;
}

type Row = Head & { upto: string };

/**
 * The next `limit` events after a position, of which only those of these types are brought along (of each where there are
 * none); `to` is the last one looked at. For whoever picks few of many: the events themselves are read one by one.
 */
export async function readHeads(
  pool: Pool,
  types: readonly string[],
  after: bigint,
  limit: number,
): Promise<{ heads: Head[]; to: bigint; full: boolean }> {
  const { rows } = await pool.query<Row>({ name: 'ledger-heads', text: headsText, values: [after, limit, types] });
  const to = BigInt(rows[0]!.upto);
  // With nothing of these types there is one row, which says how far was looked.
  const found = rows[0]!.position === null ? [] : rows;
  return { heads: found.map(({ upto: _, ...head }) => head), to, full: to - after === BigInt(limit) };
}

const headsText = `with page as materialized (select greatest($1::bigint, least($1::bigint + $2::integer,
    coalesce((select last from block order by first desc limit 1), 0))) as upto)
  select page.upto::text, position::text, stream, version, type from page
  left join event on position > $1 and position <= page.upto and (cardinality($3::text[]) = 0 or type = any($3))
  order by event.position`;
