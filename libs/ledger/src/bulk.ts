import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg, { type ClientBase, type Pool } from 'pg';
import copyStreams from 'pg-copy-streams';
import { folded, type FoldedEvent, type Lifts } from './stored.js';

/** Hardly any value has one of these, and JSON none: so nothing has to be quoted or escaped. */
const unit = '\x1f';
const quote = '\x01';
const special = new RegExp(`^$|[${unit}${quote}\n\r]`);
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
  const names = categories.map((category) => pg.escapeLiteral(category)).join(', ');
  const question = `copy (select position, stream, version, type, schema, data from event
    where position > ${after} and position <= ${to} and split_part(stream, '-', 1) in (${names}) order by position)
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

type Field = string | number | null;

/** How many rows are handed over at once: the server reads them while the next are put into text. */
const together = 64;

/**
 * Inserts rows by COPY, which costs the server less than arrays do. The values stand in the order of the columns; one that
 * may be empty, or have a control character in it, goes through `quoted`.
 */
export async function copyIn<Row>(
  client: ClientBase,
  into: string,
  rows: readonly Row[],
  fieldsOf: (row: Row) => Field[],
): Promise<void> {
  await pipeline(
    Readable.from(chunksOf(rows, fieldsOf)),
    client.query(copyStreams.from(`copy ${into} from stdin ${asCsv}`)),
  );
}

function* chunksOf<Row>(rows: readonly Row[], fieldsOf: (row: Row) => Field[]): Generator<string> {
  for (let at = 0; at < rows.length; at += together) {
    let lines = '';
    for (const row of rows.slice(at, at + together)) lines += `${fieldsOf(row).join(unit)}\n`;
    yield lines;
  }
}

/** Nothing at all stands for null, so an empty text is quoted too. */
export function quoted(value: string | null): string | null {
  if (value === null || !special.test(value)) return value;
  return quote + value.replaceAll(quote, quote + quote) + quote;
}
