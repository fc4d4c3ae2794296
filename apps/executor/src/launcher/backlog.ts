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

const memoryLimit = 64 * 1024;

export class Backlog {
  private kept: Kept[] = [];
  private sent = 0;
  private inMemory = 0;
  private position = 0;
  private readonly spool: Spool;
  /** Not yet acknowledged. */
  bytes = 0;
  private lastSeq = 0;

  constructor(dir: string) {
    this.spool = new Spool(dir);
  }

  /** Keeps a copy; throws what the disk says. */
  add(head: Omit<ChunkHead, 'seq'>, data: Buffer): void {
    if (this.inMemory + data.length <= memoryLimit) {
      this.inMemory += data.length;
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
    return { head: chunk.head, body: chunk.load() };
  }

  /** A new executor gets everything that the former one did not acknowledge. */
  rewind(): void {
    this.sent = 0;
  }

  /** Everything up to `seq` is committed. */
  ack(seq: number): void {
    let count = 0;
    for (let each = this.kept[0]; each && each.head.seq <= seq; each = this.kept[count]) {
      this.bytes -= each.size;
      if (each.memory) this.inMemory -= each.size;
      count++;
    }
    if (count === 0) return;
    this.kept.splice(0, count);
    this.sent = Math.max(0, this.sent - count);
    if (this.kept.length > 0 || this.position === 0) return;
    this.position = 0;
    this.spool.empty();
  }

  close(): void {
    this.kept = [];
    this.spool.close();
  }
}
