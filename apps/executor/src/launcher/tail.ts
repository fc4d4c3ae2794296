/** The end of a long output: a ring in a file, cut into the chunks that it will become. */
import { type StreamName } from './protocol.js';
import { Spool } from './spool.js';

interface Piece {
  stream: StreamName;
  offset: number;
  at: string;
  start: number;
  size: number;
}

const pieceLimit = 64 * 1024;
/** Only a run that changes streams with every few bytes for hours gets here; then the kept end is shorter, not memory larger. */
const pieceCountLimit = 65_536;

export class Tail {
  private pieces: Piece[] = [];
  private first = 0;
  private written = 0;
  private readonly spool: Spool;

  constructor(
    dir: string,
    private readonly capacity: number,
  ) {
    this.spool = new Spool(dir);
  }

  add(stream: StreamName, offset: number, at: string, data: Buffer): void {
    const skipped = Math.max(0, data.length - this.capacity);
    const start = this.written + skipped;
    const begin = start % this.capacity;
    const fits = Math.min(data.length - skipped, this.capacity - begin);
    this.spool.write(data.subarray(skipped, skipped + fits), begin);
    if (skipped + fits < data.length) this.spool.write(data.subarray(skipped + fits), 0);
    this.written += data.length;
    this.record({ stream, offset: offset + skipped, at, start, size: data.length - skipped });
  }

  private record(piece: Piece): void {
    const last = this.pieces.at(-1);
    const merge = last?.stream === piece.stream && last.size + piece.size <= pieceLimit;
    if (merge && last.start + last.size === piece.start) last.size += piece.size;
    else this.pieces.push(piece);
    const oldest = this.written - this.capacity;
    for (let each = this.pieces[this.first]; each; each = this.pieces[this.first]) {
      if (each.start + each.size > oldest && this.pieces.length - this.first <= pieceCountLimit) break;
      this.first++;
    }
    if (this.first < 4096) return;
    this.pieces.splice(0, this.first);
    this.first = 0;
  }

  /** What is left of the ring, oldest first, and how many bytes before it are gone. */
  finish(): { omitted: number; pieces: Piece[] } {
    const pieces = this.pieces.slice(this.first);
    const head = pieces[0];
    if (!head) return { omitted: this.written, pieces: [] };
    const lost = this.written - this.capacity - head.start;
    if (lost > 0) move(head, lost);
    // The bytes before it are gone, so what follows them inside a character is no use either.
    if (head.start > 0) move(head, strandedBytes(this.read(head.start, Math.min(4, head.size))));
    return { omitted: head.start, pieces: head.size > 0 ? pieces : pieces.slice(1) };
  }

  read(start: number, size: number): Buffer {
    const begin = start % this.capacity;
    const fits = Math.min(size, this.capacity - begin);
    const data = this.spool.read(fits, begin);
    return fits === size ? data : Buffer.concat([data, this.spool.read(size - fits, 0)]);
  }

  close(): void {
    this.spool.close();
  }
}

function move(piece: Piece, by: number): void {
  piece.start += by;
  piece.offset += by;
  piece.size -= by;
}

function strandedBytes(data: Buffer): number {
  let count = 0;
  while (count < 3 && ((data[count] ?? 0) & 0xc0) === 0x80) count++;
  return count;
}
