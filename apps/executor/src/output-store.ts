import { type Pool } from 'pg';
import { bells, largestMessage, type Bus, type OutputChunk, type RungOutput } from '#bus';
import { isId } from '#domain';
import { withStore } from '#ledger';
import { type Attempt } from './attempt.js';
import { type Chunk } from './launcher/protocol.js';

interface Row {
  attempt: Attempt;
  chunk: Chunk;
  bytes: Buffer;
}

interface Ringing {
  piece: RungOutput;
  /** As JSON, at most. */
  size: number;
}

/** A statement's bytes are copied a few times on their way, and the event loop is theirs meanwhile. */
const mostBytes = 512 * 1024;
/** More of a run's pieces in one bell would only hold up its neighbours'. */
const bellBytes = 96 * 1024;
const [newline, quote, backslash] = [0x0a, 0x22, 0x5c];
const streams = ['stdout', 'stderr'] as const;

/**
 * Stores chunks as they come, many in a statement, and tells watchers once they are committed. A chunk that was stored
 * before (its acknowledgement was lost with an executor) is recognised by its seq.
 */
export class OutputStore {
  private waiting: Row[] = [];
  private busy = false;
  private readonly idle: { attempt: Attempt; resolve: () => void }[] = [];

  constructor(
    private readonly pool: Pool,
    private readonly bus: Bus,
    private readonly onStored: (attempt: Attempt, seq: number) => void,
    private readonly onTrouble: (error: unknown) => void,
  ) {}

  take(attempt: Attempt, chunk: Chunk, bytes: Buffer): void {
    if (attempt.purged) return chunk.live ? undefined : this.onStored(attempt, chunk.seq);
    if (chunk.live) return this.ring([{ attempt, chunk, bytes }]);
    if (chunk.seq <= attempt.storedSeq) return this.onStored(attempt, chunk.seq);
    // Sent again while it still waits to be stored: acknowledged then, not before.
    if (chunk.seq <= attempt.lastSeq) return;
    attempt.keep(chunk.seq, bytes);
    if (chunk.marker) attempt.truncated = true;
    this.waiting.push({ attempt, chunk, bytes });
    if (this.busy) return;
    this.busy = true;
    setImmediate(() => void this.run());
  }

  /** Resolves when everything taken so far of this attempt is committed. */
  settled(attempt: Attempt): Promise<void> {
    if (attempt.storedSeq >= attempt.lastSeq) return Promise.resolve();
    return new Promise((resolve) => this.idle.push({ attempt, resolve }));
  }

  /** Takes up the count where a former executor left it. */
  async resume(attempt: Attempt): Promise<void> {
    const { run, attempt: number } = attempt.claimed;
    for (let after = 0; ;) {
      const text =
        'select seq, bytes, marker from run_output where run_id = $1 and attempt = $2 and seq > $3 order by seq limit 64';
      const { rows } = await this.pool.query<{ seq: number; bytes: Buffer; marker: boolean }>(text, [
        run,
        number,
        after,
      ]);
      for (const { seq, bytes, marker } of rows) {
        attempt.keep(seq, bytes);
        attempt.truncated ||= marker;
      }
      attempt.storedSeq = attempt.lastSeq;
      if (rows.length < 64) return;
      after = attempt.lastSeq;
    }
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      const rows = this.batch();
      await this.insert(rows);
      this.acknowledge(rows);
      this.ring(rows);
      this.release();
    }
    this.busy = false;
  }

  private batch(): Row[] {
    let size = 0;
    let count = 0;
    while (count < this.waiting.length && size < mostBytes) size += this.waiting[count++]!.bytes.length;
    return this.waiting.splice(0, count);
  }

  /** The store being away holds the launcher back (nothing is acknowledged), it loses nothing. */
  private async insert(rows: Row[]): Promise<void> {
    const text = 'select output_add($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)';
    const column = <T>(of: (row: Row) => T) => rows.map(of);
    let next = 1;
    const values = [
      column(({ attempt }) => attempt.claimed.run),
      column(({ attempt }) => attempt.claimed.attempt),
      column(({ chunk }) => chunk.seq),
      column(({ chunk }) => streams.indexOf(chunk.stream)),
      column(({ chunk }) => chunk.offset),
      column(({ chunk }) => chunk.at),
      column(({ chunk }) => chunk.marker ?? false),
      // In one piece, because an array of them would travel as hexadecimal text.
      Buffer.concat(column(({ bytes }) => bytes)),
      column(({ bytes }) => (next += bytes.length) - bytes.length),
      column(({ bytes }) => bytes.length),
    ];
    for (let pause = 100; ; pause = Math.min(2 * pause, 2_000)) {
      try {
        await this.pool.query({ name: 'output-insert', text, values });
        return;
      } catch (error) {
        this.onTrouble(error);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  /** Once an attempt: the newest of its chunks stands for those before. */
  private acknowledge(rows: Row[]): void {
    for (const { attempt, chunk } of rows) attempt.storedSeq = chunk.seq;
    for (const attempt of new Set(rows.map((row) => row.attempt))) this.onStored(attempt, attempt.storedSeq);
  }

  private release(): void {
    for (let i = this.idle.length - 1; i >= 0; i--) {
      const { attempt } = this.idle[i]!;
      if (attempt.storedSeq >= attempt.lastSeq) this.idle.splice(i, 1)[0]!.resolve();
    }
  }

  private ring(rows: Row[]): void {
    const byRun = new Map<string, Ringing[]>();
    for (const { attempt, chunk, bytes } of rows) {
      const { run, attempt: number } = attempt.claimed;
      const list = byRun.get(run) ?? [];
      byRun.set(run, list);
      const size = jsonBytes(bytes) + 256;
      // What is too long for a bell stays in the store: control characters, say.
      const text = size < largestMessage ? { text: bytes.toString('utf8') } : {};
      const live = chunk.live ? { live: true } : {};
      list.push({ piece: { run, attempt: number, seq: chunk.seq, stream: chunk.stream, ...text, ...live }, size });
    }
    for (const [run, list] of byRun) for (const some of portions(list)) this.bus.ring(bells.output, some, run);
  }
}

/** As many pieces a bell as do not hold up others' bells. */
function* portions(list: Ringing[]): Generator<RungOutput[]> {
  let some: RungOutput[] = [];
  let sum = 0;
  for (const { piece, size } of list) {
    if (some.length > 0 && sum + size > bellBytes) {
      yield some;
      [some, sum] = [[], 0];
    }
    some.push(piece);
    sum += size;
  }
  yield some;
}

/** What the text takes as JSON at most; to count is a tenth of the work of trying. */
function jsonBytes(bytes: Buffer): number {
  let size = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === newline || byte === quote || byte === backslash) size += 2;
    else if (byte < 0x20) size += 6;
    else size += byte < 0x80 ? 1 : 3;
  }
  return size;
}

export interface OutputQuestion {
  run: string;
  after: { attempt: number; seq: number } | null;
  attempt?: number;
  stream?: 'stdout' | 'stderr';
  limit: number;
}

interface StoredChunk extends Omit<OutputChunk, 'stream' | 'offset' | 'at'> {
  stream: number;
  start: string;
  at: Date | string;
  found: string;
}

const mostChunks = 256;

/** A page of stored chunks, in order, at most `limit` bytes (one chunk at least); no bytes beyond it leave the store. */
export async function readOutput(
  pool: Pool,
  question: OutputQuestion,
): Promise<{ chunks: OutputChunk[]; more: boolean }> {
  const { run, after, attempt = null, stream, limit } = question;
  if (!isId(run)) return { chunks: [], more: false };
  const text = `select attempt, seq, stream, start, at, found, replace(encode(bytes, 'base64'), E'\\n', '') as bytes from (
      select *, count(*) over () as found, sum(octet_length(bytes)) over so_far as upto, row_number() over so_far as nth from (
        select attempt, seq, stream, start, at, bytes from run_output
        where run_id = $1 and (attempt, seq) > ($2, $3) and ($4::int is null or attempt = $4) and ($5::int is null or stream = $5)
        order by attempt, seq limit ${mostChunks + 1}) following
      window so_far as (order by attempt, seq)) page
    where nth = 1 or (upto <= $6 and nth <= ${mostChunks}) order by attempt, seq`;
  const values = [run, after?.attempt ?? 0, after?.seq ?? 0, attempt, stream ? streams.indexOf(stream) : null, limit];
  const { rows } = await withStore(() => pool.query<StoredChunk>({ name: 'output-page', text, values }));
  const chunks = rows.map(({ attempt: number, seq, stream: kind, start, at, bytes }) => ({
    ...{ attempt: number, seq, stream: streams[kind] ?? 'stdout', offset: Number(start) },
    ...{ at: new Date(at).toISOString(), bytes },
  }));
  return { chunks, more: Number(rows[0]?.found ?? 0) > chunks.length };
}
