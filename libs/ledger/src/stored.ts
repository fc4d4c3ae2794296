import { type DomainEvent } from '#domain';

/** What is kept beside an event's data. Text, so that whoever reads the ledger needs no other table. */
export interface EventMeta {
  actor: string;
  at: string;
  correlationId: string;
  causationId: string | null;
}

/** An event as it stands in the ledger. Positions are decimal text: a bigint that JSON can carry. */
export interface StoredEvent<E extends DomainEvent = DomainEvent> {
  position: string;
  id: string;
  stream: string;
  version: number;
  type: E['type'];
  schema: number;
  data: E['data'];
  meta: EventMeta;
  /** Hex; absent where the event was not read back from the table. */
  digest?: string;
}

/** What a projection is given. A rebuild, which reads everything, leaves out what none of them folds. */
export type FoldedEvent<E extends DomainEvent = DomainEvent> = Omit<StoredEvent<E>, 'id' | 'meta' | 'digest'> &
  Partial<Pick<StoredEvent<E>, 'id' | 'meta'>>;

export interface EventColumns {
  position: string;
  id: string;
  stream: string;
  version: number;
  type: string;
  schema: number;
  data: string;
  meta: string;
  digest?: string;
}

/** Old shapes made new: `lifts[type][schema]` turns data of that schema number into the next one. */
export type Lifts = Record<string, Record<number, (data: never) => object>>;

/** What folding needs, and what tells whose order it was. As text: what a pool's type parsers make of json and bytea is each pool's own affair. */
export const tracedColumns = 'position::text, stream, version, type, schema, data::text, id::text, meta::text';
export const columns = `${tracedColumns}, encode(digest, 'hex') as digest`;

export type FoldedColumns = Omit<EventColumns, 'id' | 'meta' | 'digest'>;

export function stored(row: EventColumns, lifts: Lifts): StoredEvent {
  const { position, id, stream, version, type, digest } = row;
  const { schema, data } = lifted(row, lifts);
  let meta: EventMeta | undefined;
  const event: StoredEvent = {
    position,
    id,
    stream,
    version,
    type,
    schema,
    data,
    // Most readers fold what is in `data` and never look.
    get meta() {
      return (meta ??= JSON.parse(row.meta) as EventMeta);
    },
  };
  if (digest !== undefined) event.digest = digest;
  return event;
}

export function folded(row: FoldedColumns, lifts: Lifts): FoldedEvent {
  const { position, stream, version, type } = row;
  return { position, stream, version, type, ...lifted(row, lifts) };
}

function lifted({ type, schema, data: text }: FoldedColumns, lifts: Lifts): { schema: number; data: object } {
  let data = JSON.parse(text) as object;
  for (let lift = lifts[type]?.[schema]; lift; lift = lifts[type]?.[schema]) {
    data = lift(data as never);
    schema += 1;
  }
  return { schema, data };
}
