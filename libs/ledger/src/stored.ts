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

export interface EventColumns {
  position: string;
  id: string;
  stream: string;
  version: number;
  type: string;
  schema: number;
  data: object;
  meta: EventMeta;
  digest: Buffer;
}

/** Old shapes made new: `lifts[type][schema]` turns data of that schema number into the next one. */
export type Lifts = Record<string, Record<number, (data: never) => object>>;

export const columns = 'position, id, stream, version, type, schema, data, meta, digest';

export function stored(row: EventColumns, lifts: Lifts): StoredEvent {
  const { digest, position, ...rest } = row;
  const event = { ...rest, position: String(position), digest: digest.toString('hex') };
  for (let lift = lifts[event.type]?.[event.schema]; lift; lift = lifts[event.type]?.[event.schema]) {
    event.data = lift(event.data as never);
    event.schema += 1;
  }
  return event;
}
