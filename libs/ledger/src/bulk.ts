import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg, { type ClientBase, type Pool } from 'pg';
import copyStreams from 'pg-copy-streams';
import { folded, type FoldedEvent, type Lifts } from './stored.js';

/** Hardly any value has one of these, and JSON none: so nothing has to be quoted or escaped. */
const unit = '\x1f';
const quote = '\x01';
const lineFeed = 10;
const asCsv = "(format csv, delimiter e'\\x1f', quote e'\\x01')";

/**
 * The events of these categories with `after < position <= to`, oldest first, without ids and meta. By COPY, which
 * costs both sides less than as many rows of a query. Null when there is something in it that is quoted.
 */
export async function copied(
  pool: Pool,
  lifts: Lifts,
  { categories, after, to }: { categories: readonly string[]; after: bigint; to: bigint },
): Promise<FoldedEvent[] | null> {
  const prefixes = categories.map((category) => pg.escapeLiteral(`${category}-`)).join(', ');
  const question = `copy (select position, stream, version, type, schema, data from event
    where position > ${after} and position <= ${to} and stream ^@ any (array[${prefixes}]) order by position)
    to stdout ${asCsv}`;
  const events: FoldedEvent[] = [];
  const readable = await copyOut(pool, question, (lines) => {
    if (lines.includes(quote)) return false;
    addEvents(events, lines, lifts);
    return true;
  });
  return readable ? events : null;
}

/** Gives away whole lines as they come: no text is long, for long ones are fresh memory each time. False as soon as `take` says so. */
async function copyOut(pool: Pool, question: string, take: (lines: string) => boolean): Promise<boolean> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const onLost = (error: Error) => (broken = error);
  client.on('error', onLost);
  try {
    let left: Buffer = Buffer.alloc(0);
    let taken = true;
    for await (const chunk of client.query(copyStreams.to(question)) as AsyncIterable<Buffer>) {
      const end = chunk.lastIndexOf(lineFeed) + 1;
      if (end > 0) taken &&= take(Buffer.concat([left, chunk.subarray(0, end)]).toString());
      left = end > 0 ? chunk.subarray(end) : Buffer.concat([left, chunk]);
    }
    return taken;
  } catch (error) {
    broken = error as Error;
    throw error;
  } finally {
    client.off('error', onLost);
    client.release(broken);
  }
}

function addEvents(events: FoldedEvent[], lines: string, lifts: Lifts): void {
  let at = 0;
  const until = (mark: string) => {
    const begin = at;
    const end = lines.indexOf(mark, begin);
    at = end + 1;
    return lines.slice(begin, end);
  };
  while (at < lines.length) {
    const position = until(unit);
    const stream = until(unit);
    const version = Number(until(unit));
    const type = until(unit);
    const schema = Number(until(unit));
    events.push(folded({ position, stream, version, type, schema, data: until('\n') }, lifts));
  }
}

/** How values of a type are given (`bigint` as decimal text, `timestamptz` as ISO 8601) and put down as PostgreSQL sends them. */
const put = {
  integer: (piece: Buffer, at: number, value: number) => piece.writeInt32BE(whole(value), at),
  bigint: (piece: Buffer, at: number, value: string) => putLong(piece, at, Number(value)),
  text: (piece: Buffer, at: number, value: string) => at + piece.write(value, at),
  uuid: putId,
  timestamptz: (piece: Buffer, at: number, value: string) =>
    putLong(piece, at, (Date.parse(value) - Date.UTC(2000)) * 1_000),
};

/** Eight bytes, of a number: cheaper than by way of a BigInt. */
function putLong(piece: Buffer, at: number, value: number): number {
  const high = Math.floor(whole(value) / 2 ** 32);
  return piece.writeUInt32BE(value - high * 2 ** 32, piece.writeInt32BE(high, at));
}

/** What is no number would be written as zero. */
function whole(value: number): number {
  if (!Number.isInteger(value)) throw new RangeError('a value to be copied is no whole number or no time');
  return value;
}

function putId(piece: Buffer, at: number, value: string): number {
  const digits = value.slice(0, 8) + value.slice(9, 13) + value.slice(14, 18) + value.slice(19, 23) + value.slice(24);
  return at + piece.write(digits, at, 'hex');
}

type Put = typeof put;
type Type = keyof Put;
type Value = string | number | null;

/** As much as is handed over at once: the server reads it while the next is made. */
const pieceBytes = 64 * 1024;
const head = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');

/** Inserts rows by COPY, in binary: reading text costs the server more than the row itself. Values stand in the order of the columns. */
export async function copyIn<Row>(
  client: ClientBase,
  table: string,
  columns: Record<string, Type>,
  rows: Iterable<Row>,
  valuesOf: (row: Row) => Value[],
): Promise<void> {
  const text = `copy ${table} (${Object.keys(columns).join(', ')}) from stdin (format binary)`;
  const pieces = piecesOf(Object.values(columns), rows, valuesOf);
  await pipeline(Readable.from(pieces), client.query(copyStreams.from(text)));
}

/** Laid out as under "Binary Format" of PostgreSQL's COPY. */
function* piecesOf<Row>(types: Type[], rows: Iterable<Row>, valuesOf: (row: Row) => Value[]): Generator<Buffer> {
  let piece = Buffer.allocUnsafe(pieceBytes);
  let at = head.copy(piece);
  for (const row of rows) {
    const values = valuesOf(row);
    const most = mostBytes(values);
    if (at + most > piece.length) {
      yield piece.subarray(0, at);
      piece = Buffer.allocUnsafe(Math.max(pieceBytes, most));
      at = 0;
    }
    at = putRow(piece, at, types, values);
  }
  yield piece.subarray(0, at);
  yield Buffer.from([0xff, 0xff]);
}

/** A character of a string is three bytes at most. */
function mostBytes(values: Value[]): number {
  let most = 2;
  for (const value of values) most += typeof value === 'string' ? 12 + value.length * 3 : 12;
  return most;
}

function putRow(piece: Buffer, start: number, types: Type[], values: Value[]): number {
  let at = piece.writeInt16BE(types.length, start);
  for (let i = 0; i < types.length; i++) {
    const value = values[i]!;
    if (value === null) {
      at = piece.writeInt32BE(-1, at);
      continue;
    }
    const end = put[types[i]!](piece, at + 4, value as never);
    piece.writeInt32BE(end - at - 4, at);
    at = end;
  }
  return at;
}
