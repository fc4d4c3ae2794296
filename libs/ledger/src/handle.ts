import { eventId, fold, Refusal, type Decider, type DomainEvent, type Meta } from '#domain';
import { type Alongside, type Append, type Verdict } from './append.js';
import { type Ledger } from './ledger.js';
import { type StoredEvent } from './stored.js';

export interface Handled<E extends DomainEvent = DomainEvent> {
  stream: string;
  /** The order's newest event, or the stream's when it made none; what a reader waits for to see it. */
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
  /** Appends to other streams in the same commit; they stand and fall with the order's own. */
  together?: readonly Append[];
}

const tries = 5;

/**
 * Read, fold, decide, append; a version conflict starts over, five times at most, then it is a `conflict`. Orders to one
 * stream take turns in a process, so only other processes can conflict.
 * With an idempotency key the first result is answered again; the same key with another body is `malformed`.
 */
export function handle<S, C extends { type: string; meta: Meta }, E extends DomainEvent>(
  ledger: Ledger,
  decider: Decider<S, C, E>,
  id: string,
  command: C,
  options: HandleOptions<S, E> = {},
): Promise<Handled<E>> {
  const stream = `${decider.category}-${id}`;
  const work = () => decideAndAppend(ledger, decider, stream, command, options);
  const inTurn = () => (options.creating ? work() : ledger.inTurn(stream, work));
  return command.meta.idempotency ? once(ledger, command.meta, inTurn) : inTurn();
}

async function once<E extends DomainEvent>(
  ledger: Ledger,
  meta: Meta,
  work: () => Promise<Handled<E>>,
): Promise<Handled<E>> {
  const before = await repeated<E>(ledger, meta);
  if (before) return before;
  try {
    return await work();
  } catch (error) {
    const first = isKeyTaken(error) ? await repeated<E>(ledger, meta) : null;
    if (first) return first;
    throw error;
  }
}

async function decideAndAppend<S, C extends { type: string; meta: Meta }, E extends DomainEvent>(
  ledger: Ledger,
  decider: Decider<S, C, E>,
  stream: string,
  command: C,
  { creating = false, known, alongside, together = [] }: HandleOptions<S, E>,
): Promise<Handled<E>> {
  const { meta } = command;
  for (let attempt = 1; attempt <= tries; attempt++) {
    const first = attempt === 1;
    const unread = first && (creating || known);
    const history = unread ? [] : ((await ledger.read(stream)) as StoredEvent<E>[]);
    const { state, version } =
      first && known ? known : { state: fold(decider, history as unknown as E[]), version: history.length };
    const events = decider.decide(state, command);
    if (events.length === 0) {
      if (meta.idempotency) await ledger.call(keyRow(meta, stream));
      return { stream, position: history.at(-1)?.position ?? '0', version, events: [], repeated: false };
    }
    const after = version + events.length;
    const rows = { ...alongside?.(events, fold(decider, events, state), after), ...keyRow(meta, stream) };
    const own = { stream, expected: version, events, meta, alongside: rows };
    const verdict =
      together.length > 0 ? await appendTogether(ledger, own, together) : (await ledger.append(own)).verdict;
    if (verdict.verdict === 'appended') {
      const appended = verdict.events as StoredEvent<E>[];
      return { stream, position: appended.at(-1)!.position, version: after, events: appended, repeated: false };
    }
    if (verdict.verdict === 'duplicate') {
      const keyed = meta.idempotency ? await repeated<E>(ledger, meta) : null;
      return keyed ?? firstAnswer<E>(ledger, stream, meta.commandId);
    }
  }
  throw new Refusal('conflict', 'STREAM_BUSY', 'Others kept changing this at the same time; try again');
}

async function appendTogether(ledger: Ledger, own: Append, others: readonly Append[]): Promise<Verdict> {
  const requires = [{ stream: own.stream, version: own.expected! }];
  const [verdict] = await ledger.appendAll([own, ...others.map((each) => ({ ...each, requires }))]);
  return verdict!;
}

function keyRow({ idempotency, actor, commandId: command }: Meta, stream: string): Alongside {
  return idempotency ? { idempotency: [{ actor, ...idempotency, stream, command }] } : {};
}

/** Somebody else's order with the same key was first. */
function isKeyTaken(error: unknown): boolean {
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  return code === '23505' && constraint === 'idempotency_key_pkey';
}

/** The first answer to this order, if it has been carried out; for whoever has to look at more than the stream before deciding. */
export async function repeated<E extends DomainEvent>(
  ledger: Ledger,
  { idempotency, actor }: Meta,
): Promise<Handled<E> | null> {
  const { key, hash } = idempotency!;
  const row = await ledger.keyed(actor, key);
  if (!row) return null;
  if (row.hash !== hash) {
    throw new Refusal('malformed', 'IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used with another request', {
      key,
    });
  }
  return firstAnswer<E>(ledger, row.stream, row.command);
}

/** What an order made when it was carried out, by the name it had. */
export async function firstAnswer<E extends DomainEvent>(
  ledger: Ledger,
  stream: string,
  commandId: string,
): Promise<Handled<E>> {
  return again<E>(await ledger.read(stream), stream, commandId);
}

/** What the order made the first time, though the stream may have gone on since. */
function again<E extends DomainEvent>(history: StoredEvent[], stream: string, commandId: string): Handled<E> {
  const first = eventId(commandId, 0);
  const start = history.findIndex(({ id }) => id === first);
  const rest = start < 0 ? [] : history.slice(start);
  const end = rest.findIndex(({ id }, i) => id !== eventId(commandId, i));
  const events = (end < 0 ? rest : rest.slice(0, end)) as StoredEvent<E>[];
  const last = events.at(-1) ?? history.at(-1);
  return { stream, position: last?.position ?? '0', version: last?.version ?? 0, events, repeated: true };
}
