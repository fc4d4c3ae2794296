import { type Pool } from 'pg';

/** Up to where a subscription is settled, and how often the one event after that has been tried. */
export interface Place {
  position: bigint;
  /** Counts the replays. */
  round: number;
  attempts: number;
  /** The first failure of the event in hand. */
  since: Date | null;
}

/** One event to one subscription, as its log has it. */
export interface Delivery {
  id: string;
  event: string;
  position: bigint;
  status: 'delivered' | 'pending' | 'failed';
  attempts: number;
  answer: string;
}

/** The subscription is no more what it was: replayed, disabled or deleted, or told by somebody else. */
export class Displaced extends Error {}

interface Row {
  position: string;
  round: number;
  attempts: number;
  since: Date | string | null;
}

const columns = 'position::text, round, attempts, since';

export async function loadPlace(pool: Pool, id: string): Promise<Place> {
  const { rows } = await pool.query<Row>(`select ${columns} from subscription where id = $1`, [id]);
  return placeOf(rows[0]);
}

/** Over what is not for it. */
export async function move(pool: Pool, id: string, { round }: Place, to: bigint): Promise<Place> {
  const text = `update subscription set position = $3, attempts = 0, since = null
    where id = $1 and round = $2 and position < $3 returning ${columns}`;
  const { rows } = await pool.query<Row>({ name: 'subscription-move', text, values: [id, round, String(to)] });
  return placeOf(rows[0]);
}

/** Keeps how an attempt went; what is settled is stepped over in the same statement. */
export async function record(pool: Pool, id: string, { round }: Place, delivery: Delivery): Promise<Place> {
  const { id: name, event, position, status, attempts, answer } = delivery;
  const values = [id, round, String(position), status, attempts, name, event, answer];
  const { rows } = await pool.query<Row>({ name: 'subscription-record', text: recordText, values });
  return placeOf(rows[0]);
}

const recordText = `with kept as (
    update subscription set position = case when $4 = 'pending' then position else $3 end,
      attempts = case when $4 = 'pending' then $5::integer else 0 end,
      since = case when $4 = 'pending' then coalesce(since, clock_timestamp()) end
    where id = $1 and round = $2 and position < $3::bigint returning *
  ), logged as (
    insert into delivery (subscription, id, position, event, status, attempts, at, answer)
    select kept.id, $6::uuid, $3, $7::uuid, $4, $5, clock_timestamp(), $8 from kept
    on conflict (id) do update set status = excluded.status, attempts = excluded.attempts, at = excluded.at, answer = excluded.answer
  )
  select ${columns} from kept`;

/** The newest of them are kept. */
export async function trimLog(pool: Pool, id: string, most: number): Promise<void> {
  const text = `delete from delivery where subscription = $1 and seq <=
    (select seq from delivery where subscription = $1 order by seq desc offset $2 limit 1)`;
  await pool.query(text, [id, most]);
}

function placeOf(row: Row | undefined): Place {
  if (!row) throw new Displaced();
  const { position, round, attempts, since } = row;
  return { position: BigInt(position), round, attempts, since: since === null ? null : new Date(since) };
}
