import { type Pool } from 'pg';
import { Refusal } from '#domain';
import { type Alongside, type Append, type Verdict } from './append.js';
import { copied } from './bulk.js';
import { Flusher, type Flushed, type Settled } from './flush.js';
import {
  columns,
  stored,
  tracedColumns,
  type EventColumns,
  type FoldedEvent,
  type Lifts,
  type StoredEvent,
} from './stored.js';
import { Gatherer } from './gather.js';
import { Numbers, type Numbered } from './numbers.js';
import { Tail } from './tail.js';

export interface LedgerOptions {
  /** Connections for flushes alone, so that they stand in no line behind reads; the pool where there are none. */
  flushes?: Pool;
  lifts?: Lifts;
  /** Called after each commit: ring the bell here. Must not throw. */
  onFlushed?: (flushed: Flushed, hooks: Record<string, unknown>) => void;
}

/** What an idempotency key was used for. */
export interface Keyed {
  hash: string;
  stream: string;
  command: string;
}

/** The event store of one process: appends gather into group commits, reads of streams gather into one query. */
export class Ledger {
  private readonly flusher: Flusher;
  private readonly streams: Gatherer<string, StoredEvent[]>;
  private readonly keys: Gatherer<string, Keyed | undefined>;
  private readonly numbers: Numbers;
  private readonly lifts: Lifts;
  private readonly turns = new Map<string, Promise<void>>();
  /** Kept from the first reader of categories on. */
  private tail: Tail | null = null;
  /** The last position that a flush of ours came to, what hooks appended included. */
  private newest = 0n;

  constructor(
    readonly pool: Pool,
    { flushes = pool, lifts = {}, onFlushed = () => {} }: LedgerOptions = {},
  ) {
    this.lifts = lifts;
    const flushed = (what: Flushed, hooks: Record<string, unknown>) => {
      if (BigInt(what.last) > this.newest) this.newest = BigInt(what.last);
      onFlushed(what, hooks);
    };
    this.flusher = new Flusher(flushes, flushed, (...appended) => this.tail?.add(...appended));
    this.streams = new Gatherer((names) => this.readStreams(names));
    this.keys = new Gatherer((keys) => this.readKeys(keys));
    this.numbers = new Numbers(pool);
  }

  /** Appends and answers the verdict; throws only when the store itself failed. */
  append(append: Append): Promise<Settled<Verdict>> {
    return withStore(() => this.flusher.append(append));
  }

  /** In one commit, in the given order, each to a stream of its own; the verdicts in the same order. */
  async appendAll(appends: readonly Append[]): Promise<Verdict[]> {
    const settled = await withStore(() => this.flusher.appendAll(appends));
    return settled.map(({ verdict }) => verdict!);
  }

  /** Calls registered functions under the lock, in the next flush; answers what each said. */
  async call(alongside: Alongside): Promise<Record<string, unknown>> {
    return (await withStore(() => this.flusher.call(alongside))).hooks;
  }

  /** A stream's events, oldest first; `[]` when there is none. */
  read(stream: string): Promise<StoredEvent[]> {
    return withStore(() => this.streams.get(stream));
  }

  /** The next integer for something that clients know by number; never given twice, gaps are normal. */
  number(of: Numbered): number | Promise<number> {
    const number = this.numbers.next(of);
    return typeof number === 'number' ? number : withStore(() => number);
  }

  /** Events with `position > after`, oldest first, at most `limit`. */
  async readFrom(after: string | bigint, limit: number): Promise<StoredEvent[]> {
    const text = `select ${columns} from event where position > $1 order by event.position limit $2`;
    const { rows } = await this.pool.query<EventColumns>({ name: 'ledger-from', text, values: [String(after), limit] });
    return rows.map((row) => stored(row, this.lifts));
  }

  /**
   * The next `limit` events after a position, of which only those of these stream categories are brought along; `to` is the
   * last one looked at (`after` when there was none), `full` whether there were as many, or there is more after it.
   */
  async readCategories(
    categories: readonly string[],
    after: string | bigint,
    limit: number,
  ): Promise<{ events: FoldedEvent[]; to: bigint; full: boolean }> {
    this.tail ??= new Tail();
    const newest = this.tail.after(BigInt(after), limit);
    if (newest.length > 0) {
      const prefixes = categories.map((category) => `${category}-`);
      const events = newest.filter(({ stream }) => prefixes.some((prefix) => stream.startsWith(prefix)));
      const to = BigInt(newest.at(-1)!.position);
      return { events, to, full: newest.length === limit || to < this.newest };
    }
    return this.readPage(categories, BigInt(after), limit);
  }

  private async readPage(categories: readonly string[], after: bigint, limit: number) {
    const values = [String(after), limit, categories.map((category) => `${category}-`)];
    const { rows } = await this.pool.query<EventColumns & { upto: string }>({
      name: 'ledger-categories',
      text: pageText,
      values,
    });
    const to = BigInt(rows[0]!.upto);
    // With nothing of these categories there is one row, which says how far was looked.
    const found = rows[0]!.position === null ? [] : rows;
    return { events: found.map((row) => stored(row, this.lifts)), to, full: to - after === BigInt(limit) };
  }

  /** As `readCategories`, for who reads thousands at once: always from the table, without ids and meta. */
  async readBulk(
    categories: readonly string[],
    after: bigint,
    limit: number,
  ): Promise<{ events: FoldedEvent[]; to: bigint; full: boolean }> {
    const text = `select (${endOfPage})::text as upto`;
    const { rows } = await this.pool.query<{ upto: string }>({ name: 'ledger-end', text, values: [after, limit] });
    const to = BigInt(rows[0]!.upto);
    const events = await copied(this.pool, this.lifts, { categories, after, to });
    return events ? { events, to, full: to - after === BigInt(limit) } : this.readPage(categories, after, limit);
  }

  /** The newest position, `0` for an empty ledger. */
  async head(): Promise<string> {
    const { rows } = await this.pool.query<{ last: string }>('select last from block order by first desc limit 1');
    return String(rows[0]?.last ?? 0);
  }

  /** Waits until everything handed in is on disk. */
  drained(): Promise<void> {
    return this.flusher.idle();
  }

  /** Does the work when everything handed in earlier under this name is done. */
  inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const mine = this.turns.get(name)?.then(work) ?? work();
    const done = mine.then(ignore, ignore).then(() => {
      if (this.turns.get(name) === done) this.turns.delete(name);
    });
    this.turns.set(name, done);
    return mine;
  }

  /** The order that this key was used for. */
  keyed(actor: string, key: string): Promise<Keyed | undefined> {
    return withStore(() => this.keys.get(JSON.stringify([actor, key])));
  }

  private async readKeys(asked: string[]): Promise<Map<string, Keyed | undefined>> {
    const pairs = asked.map((each) => JSON.parse(each) as [actor: string, key: string]);
    const text = `select a.n, k.hash, k.stream, k.command
      from unnest($1::text[], $2::text[]) with ordinality a(actor, key, n)
      cross join lateral (select * from idempotency_key i where i.actor = a.actor and i.key = a.key limit 1) k`;
    const values = [pairs.map(([actor]) => actor), pairs.map(([, key]) => key)];
    const { rows } = await this.pool.query<Keyed & { n: string }>({ name: 'ledger-keys', text, values });
    return new Map(rows.map(({ n, ...found }) => [asked[Number(n) - 1]!, found]));
  }

  private async readStreams(names: string[]): Promise<Map<string, StoredEvent[]>> {
    const text = `select ${columns} from event where stream = any($1) order by stream, version`;
    const { rows } = await this.pool.query<EventColumns>({ name: 'ledger-streams', text, values: [names] });
    const found = new Map<string, StoredEvent[]>(names.map((name) => [name, []]));
    for (const row of rows) found.get(row.stream)?.push(stored(row, this.lifts));
    return found;
  }
}

/** Positions are dense, so a page's end is known before its events are read. */
const endOfPage =
  'greatest($1::bigint, least($1::bigint + $2::integer, coalesce((select last from block order by first desc limit 1), 0)))';
const pageText = `with page as materialized (select ${endOfPage} as upto)
  select page.upto::text, ${tracedColumns} from page
  left join event on position > $1 and position <= page.upto and stream ^@ any($3)
  order by event.position`;

const ignore = () => {};

/** The store being away is an answer to the caller, not a bug; what the data did wrong is passed on as it is. */
export async function withStore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asRefusal(error);
  }
}

function asRefusal(error: unknown): unknown {
  if (!isStoreAway(error)) return error;
  const said = String((error as Error).message);
  return new Refusal('unavailable', 'STORE_UNAVAILABLE', 'The database does not answer; try again', said);
}

/** No server, a lost connection, a shutdown or recovery, a full disk, too many connections, a timeout, a deadlock. */
export function isStoreAway(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return awayCodes.test(String(code ?? '')) || awayMessages.test(String(message));
}

const awayCodes = /^(08|25P0[34]|40|53|55P03|57|58|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)/;
const awayMessages =
  /Connection terminated|timeout exceeded when trying to connect|encountered a connection error|is not queryable|Query read timeout/i;
