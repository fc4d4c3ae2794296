import { fold, Refusal, type Decider, type DomainEvent, type Meta } from '#domain';
import { type Alongside } from './append.js';
import { type Ledger } from './ledger.js';
import { type StoredEvent } from './stored.js';

export interface Handled<E extends DomainEvent = DomainEvent> {
  stream: string;
  /** The stream's newest position after the order; what a reader waits for to see it. */
  position: string;
  version: number;
  events: StoredEvent<E>[];
  /** The order had been carried out before: `events` are those of the first time. */
  repeated: boolean;
}

export interface HandleOptions<S, E extends DomainEvent> {
  /** The command creates the stream: decide on the initial state without reading. */
  creating?: boolean;
  /** What the caller already knows of the stream; read again when it proves stale. */
  known?: { state: S; version: number };
  /** Rows for the same flush; `state` and `version` are the stream's after these events. */
  alongside?: (events: E[], state: S, version: number) => Alongside;
}

const tries = 5;

/**
 * Read, fold, decide, append; a version conflict starts over, five times at most, then it is a `conflict`.
 * With an idempotency key the first result is answered again; the same key with another body is `malformed`.
 */
export async function handle<S, C extends { type: string; meta: Meta }, E extends DomainEvent>(
  ledger: Ledger,
  decider: Decider<S, C, E>,
  id: string,
  command: C,
  { creating = false, known, alongside }: HandleOptions<S, E> = {},
): Promise<Handled<E>> {
  const stream = `${decider.category}-${id}`;
  const { meta } = command;
  if (meta.idempotency) {
    const before = await repeated<E>(ledger, meta);
    if (before) return before;
  }
  let fresh = creating;
  for (let attempt = 1; attempt <= tries; attempt++) {
    const history = fresh || known ? [] : ((await ledger.read(stream)) as StoredEvent<E>[]);
    const state = known?.state ?? fold(decider, history as unknown as E[]);
    const version = known?.version ?? history.length;
    const events = decider.decide(state, command);
    if (events.length === 0) {
      const position = history.at(-1)?.position ?? '0';
      return { stream, position, version, events: [], repeated: false };
    }
    const rows = { ...alongside?.(events, fold(decider, events, state), version + events.length), ...keyRow(meta, stream) };
    const { verdict } = await ledger.append({ stream, expected: version, events, meta, alongside: rows });
    if (verdict.verdict === 'appended') {
      const appended = verdict.events as StoredEvent<E>[];
      return { stream, position: appended.at(-1)!.position, version: version + events.length, events: appended, repeated: false };
    }
    if (verdict.verdict === 'duplicate') {
      const first = meta.idempotency ? await repeated<E>(ledger, meta) : null;
      return first ?? again<E>(await ledger.read(stream), stream);
    }
    known = undefined;
    fresh = false;
  }
  throw new Refusal('conflict', 'STREAM_BUSY', 'Others kept changing this at the same time; try again');
}

function keyRow({ idempotency, actor }: Meta, stream: string): Alongside {
  return idempotency ? { idempotency: [{ actor, ...idempotency, stream }] } : {};
}

async function repeated<E extends DomainEvent>(ledger: Ledger, meta: Meta): Promise<Handled<E> | null> {
  const { key, hash } = meta.idempotency!;
  const text = 'select hash, stream from idempotency_key where actor = $1 and key = $2';
  const { rows } = await ledger.pool.query<{ hash: string; stream: string }>({ name: 'ledger-key', text, values: [meta.actor, key] });
  const row = rows[0];
  if (!row) return null;
  if (row.hash !== hash) {
    throw new Refusal('malformed', 'IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used with another request', { key });
  }
  return again<E>(await ledger.read(row.stream), row.stream);
}

function again<E extends DomainEvent>(history: StoredEvent[], stream: string): Handled<E> {
  const events = history as StoredEvent<E>[];
  return { stream, position: events.at(-1)?.position ?? '0', version: events.length, events, repeated: true };
}
