/** A run's chunks between being printed and being committed by the executor: few in memory, the others in a file. */
import { type Chunk } from './protocol.js';
import { Spool } from './spool.js';

export type ChunkHead = Omit<Chunk, 'key'>;

interface Kept {
  head: ChunkHead;
  size: number;
  memory: Buffer | undefined;
  load: () => Buffer;
}

const runLimit = 64 * 1024;
/** All runs together. */
export const memoryLimit = 4 * 1024 * 1024;

/** What all backlogs of a launcher may hold in memory yet. */
export interface Memory {
  left: number;
}

export class Backlog {
  private kept: Kept[] = [];
  private sent = 0;
  private inMemory = 0;
  private position = 0;
  private readonly spool: Spool;
  /** Not yet acknowledged; and what of it was sent. */
  bytes = 0;
  inFlight = 0;
  private lastSeq = 0;

  constructor(
    dir: string,
    private readonly memory: Memory,
  ) {
    this.spool = new Spool(dir);
  }

  /** Keeps a copy; throws what the disk says. */
  add(head: Omit<ChunkHead, 'seq'>, data: Buffer): void {
    if (this.inMemory + data.length <= runLimit && data.length <= this.memory.left) {
      this.take(data.length);
      const memory = Buffer.from(data);
      this.keep(head, data.length, memory, () => memory);
      return;
    }
    const position = this.position;
    this.spool.write(data, position);
    this.position += data.length;
    this.keep(head, data.length, undefined, () => this.spool.read(data.length, position));
  }

  /** A chunk that somebody else keeps. */
  addStored(head: Omit<ChunkHead, 'seq'>, size: number, load: () => Buffer): void {
    this.keep(head, size, undefined, load);
  }

  private keep(head: Omit<ChunkHead, 'seq'>, size: number, memory: Buffer | undefined, load: () => Buffer): void {
    this.kept.push({ head: { seq: ++this.lastSeq, ...head }, size, memory, load });
    this.bytes += size;
  }

  get firstUnacked(): number {
    return this.kept[0]?.head.seq ?? this.lastSeq + 1;
  }

  get allSent(): boolean {
    return this.sent >= this.kept.length;
  }

  /** The next chunk to send; throws what the disk says, and then goes on with the one after. */
  next(): { head: ChunkHead; body: Buffer } | undefined {
    const chunk = this.kept[this.sent];
    if (!chunk) return undefined;
    this.sent++;
    this.inFlight += chunk.size;
    return { head: chunk.head, body: chunk.load() };
  }

  /** A new executor gets everything that the former one did not acknowledge. */
  rewind(): void {
    this.sent = 0;
    this.inFlight = 0;
  }

  /** Everything up to `seq` is committed. */
  ack(seq: number): void {
    let count = 0;
    for (let each = this.kept[0]; each && each.head.seq <= seq; each = this.kept[count]) {
      this.bytes -= each.size;
      if (each.memory) this.take(-each.size);
      if (count < this.sent) this.inFlight -= each.size;
      count++;
    }
    if (count === 0) return;
    this.kept.splice(0, count);
    this.sent = Math.max(0, this.sent - count);
    if (this.kept.length > 0 || this.position === 0) return;
    this.position = 0;
    this.spool.empty();
  }

  private take(size: number): void {
    this.inMemory += size;
    this.memory.left -= size;
  }

  close(): void {
    this.kept = [];
    this.inFlight = 0;
    this.take(-this.inMemory);
    this.spool.close();
  }
}
