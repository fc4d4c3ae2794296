import { eventId, Refusal, type DomainEvent, type Meta } from '#domain';
import { type EventMeta, type StoredEvent } from './stored.js';

/** Rows for the registered functions that go in the same call: `{hook: rows}`. A hook leaves out rows of a refused append. */
export type Alongside = Record<string, object[]>;

export interface Append {
  stream: string;
  /** The version that the stream must have; 0 for a new one; null for "whatever it is". */
  expected: number | null;
  /** One at least. */
  events: readonly DomainEvent[];
  meta: Meta;
  alongside?: Alongside;
  /** Holds only while these other streams are at these versions (checked under the lock). */
  requires?: { stream: string; version: number }[];
}

export type Verdict =
  | { verdict: 'appended'; events: StoredEvent[] }
  | { verdict: 'duplicate' | 'conflict' | 'stale'; position: string | null; version: number };

/** An append as the text that will be stored. */
export interface Written {
  append: Append | null;
  ids: string[];
  datas: string[];
  meta: string;
  /** Each row as JSON, without its append's number. */
  rows: [hook: string, row: string][];
  size: number;
}

const mostBytes = 1_048_576;

/** Turns an append into text at once, so that what cannot be stored is refused alone, before it has neighbours. */
export function write(append: Append | null, alongside: Alongside): Written {
  const rows = Object.entries(alongside).flatMap(([hook, list]) =>
    list.map((row): [string, string] => [hook, storable(JSON.stringify(row))]),
  );
  const ids = append ? append.events.map((_, i) => eventId(append.meta.commandId, i)) : [];
  const datas = append ? append.events.map(({ data }) => storable(JSON.stringify(data))) : [];
  const meta = append ? storable(JSON.stringify(keptMeta(append.meta))) : '';
  if (append) assertFits(append, datas);
  let size = meta.length;
  for (const data of datas) size += data.length;
  for (const [, row] of rows) size += row.length;
  return { append, ids, datas, meta, rows, size };
}

export function keptMeta(meta: Meta): EventMeta {
  return { actor: meta.actor, at: meta.now, correlationId: meta.correlationId, causationId: meta.causationId ?? null };
}

function assertFits({ stream, events }: Append, datas: string[]): void {
  if (events.length === 0) throw new Error(`an append to ${stream} without events`);
  for (const name of [stream, ...events.map(({ type }) => type)]) {
    if (hasControls(name) || name === '')
      throw new Refusal('malformed', 'BAD_NAME', 'Control characters cannot be part of a name');
  }
  for (const data of datas) {
    if (data.length * 3 > mostBytes && Buffer.byteLength(data) > mostBytes) {
      throw new Refusal('malformed', 'EVENT_TOO_LARGE', 'An event holds 1 MiB at most');
    }
  }
}

function hasControls(name: string): boolean {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) < 32) return true;
  return false;
}

const escaped = /(?<!\\)((?:\\\\)*)\\u(0000|d[89a-f][0-9a-f]{2})/g;

/**
 * JSON that PostgreSQL can also read as text: it knows no U+0000, which is refused, and no half of a surrogate pair
 * (what cutting a string may leave), which becomes the replacement character.
 */
function storable(json: string): string {
  if (!json.includes('\\u')) return json;
  return json.replace(escaped, (_, before: string, code: string) => {
    if (code === '0000') throw new Refusal('malformed', 'NUL_CHARACTER', 'Text cannot hold the character U+0000');
    return `${before}\ufffd`;
  });
}
