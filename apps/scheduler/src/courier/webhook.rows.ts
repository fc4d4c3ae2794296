import { type Pool } from 'pg';
import { type DeliveryCard, type Page, type Paged, type WebhookCard } from '#bus';
import { Refusal } from '#domain';

type CardRow = Omit<WebhookCard, 'createdAt'> & { at: Date | string };
type DeliveryRow = Omit<DeliveryCard, 'at'> & { at: Date | string; seq: string };

const cardColumns = 'id, owner, url, types, processes, disabled, created_at as at';

export async function webhookOf(pool: Pool, id: string): Promise<WebhookCard | null> {
  const { rows } = await pool.query<CardRow>(`select ${cardColumns} from webhook where id = $1`, [id]);
  return rows[0] ? cardOf(rows[0]) : null;
}

/** Newest first: ids are in the order of time, but those that a key names; the cursor is the last id. */
export async function webhooksOf(
  pool: Pool,
  { owner, limit, cursor }: Paged & { owner?: string },
): Promise<Page<WebhookCard>> {
  const text = `select ${cardColumns} from webhook
    where ($1::text is null or owner = $1) and ($2::uuid is null or id < $2) order by id desc limit $3`;
  if (cursor !== undefined && !uuid.test(cursor)) throw badCursor();
  const { rows } = await pool.query<CardRow>(text, [owner ?? null, cursor ?? null, limit + 1]);
  return pageOf(rows, limit, ({ id }) => id, cardOf);
}

/** Newest first. */
export async function deliveriesOf(
  pool: Pool,
  { id, limit, cursor }: Paged & { id: string },
): Promise<Page<DeliveryCard>> {
  const text = `select seq::text, id, event, position::text, status, attempts, at, answer from delivery
    where subscription = $1 and ($2::bigint is null or seq < $2) order by delivery.seq desc limit $3`;
  if (cursor !== undefined && !/^\d{1,18}$/.test(cursor)) throw badCursor();
  const { rows } = await pool.query<DeliveryRow>(text, [id, cursor ?? null, limit + 1]);
  return pageOf(
    rows,
    limit,
    ({ seq }) => seq,
    ({ seq: _, at, ...row }) => ({ ...row, at: new Date(at).toISOString() }),
  );
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const badCursor = () => new Refusal('malformed', 'BAD_CURSOR', 'cursor: not one that a list has given');

const cardOf = ({ at, ...card }: CardRow): WebhookCard => ({ ...card, createdAt: new Date(at).toISOString() });

function pageOf<R, T>(rows: R[], limit: number, cursorOf: (row: R) => string, shape: (row: R) => T): Page<T> {
  const shown = rows.slice(0, limit);
  return { items: shown.map(shape), next: rows.length > limit ? cursorOf(shown.at(-1)!) : null };
}
