/** What one run prints: cut into chunks, its own voice taken out, capped to a beginning and an end. */
import { Backlog } from './backlog.js';
import { type StreamName } from './protocol.js';
import { Tail } from './tail.js';
import { type VoiceData, VoiceFilter } from './voice.js';

export interface OutputEvents {
  /** Bytes wait for company; `flush` is to be called within 50 ms. */
  dirty: () => void;
  /** Something is in the backlog. */
  stored: () => void;
  voice: (data: VoiceData) => void;
  /** Printed now, but perhaps never stored. */
  live: (stream: StreamName, offset: number, at: string, data: Buffer) => void;
  broken: (error: unknown) => void;
}

interface Gathering {
  name: StreamName;
  waiting: Buffer | undefined;
  since: string;
  offset: number;
}

const chunkLimit = 32 * 1024;
const smallestLimit = 1024;

export class Output {
  readonly backlog: Backlog;
  /** Printed on both streams, voice and omitted bytes included. */
  bytes = 0;
  private readonly stdout: Gathering = { name: 'stdout', waiting: undefined, since: '', offset: 0 };
  private readonly stderr: Gathering = { name: 'stderr', waiting: undefined, since: '', offset: 0 };
  private readonly voice: VoiceFilter;
  private readonly headLimit: number;
  private readonly tailLimit: number;
  private headUsed = 0;
  private tail: Tail | undefined;
  private broken = false;

  constructor(
    private readonly dir: string,
    storeLimit: number,
    private readonly events: OutputEvents,
  ) {
    const limit = Math.max(smallestLimit, Math.floor(storeLimit));
    this.headLimit = Math.floor(limit / 2);
    this.tailLimit = limit - this.headLimit;
    this.backlog = new Backlog(dir);
    this.voice = new VoiceFilter((data) => this.gather(this.stdout, data), events.voice);
  }

  /** While true, what is printed goes to the backlog and not to the ring, so it is worth making the command wait. */
  get inHead(): boolean {
    return !this.tail;
  }

  /** `data` is only valid during the call. */
  push(stream: StreamName, data: Buffer): void {
    this.bytes += data.length;
    if (this.broken) return;
    this.attempt(() => (stream === 'stdout' ? this.voice.push(data) : this.gather(this.stderr, data)));
  }

  flush(): void {
    this.attempt(() => {
      const both = [this.stdout, this.stderr].sort((a, b) => (a.since < b.since ? -1 : 1));
      for (const stream of both) this.release(stream, true, false);
    });
  }

  /** Everything is printed: sends what waited, and the end of a capped output. */
  end(): void {
    this.attempt(() => {
      this.voice.end();
      for (const stream of [this.stdout, this.stderr]) this.release(stream, true, true);
      if (this.tail) this.closeTail(this.tail);
    });
  }

  close(): void {
    this.backlog.close();
    this.tail?.close();
  }

  private attempt(work: () => void): void {
    if (this.broken) return;
    try {
      work();
    } catch (error) {
      this.broken = true;
      this.events.broken(error);
    }
  }

  private gather(stream: Gathering, data: Buffer): void {
    if (!stream.waiting) stream.since = new Date().toISOString();
    const all = stream.waiting ? Buffer.concat([stream.waiting, data]) : data;
    if (all.length < chunkLimit) stream.waiting = all === data ? Buffer.from(data) : all;
    else this.cut(stream, all, false, false);
    if (stream.waiting) this.events.dirty();
  }

  private release(stream: Gathering, small: boolean, last: boolean): void {
    if (stream.waiting) this.cut(stream, stream.waiting, small, last);
  }

  /** Stores whole chunks, and with `small` the rest too; only at the `last` may a character stay incomplete. */
  private cut(stream: Gathering, all: Buffer, small: boolean, last: boolean): void {
    let from = 0;
    while (all.length - from >= chunkLimit || (small && from < all.length)) {
      const size = Math.min(chunkLimit, all.length - from);
      const final = last && from + size === all.length;
      const end = final ? all.length : from + wholeCharacters(all.subarray(from, from + size));
      if (end === from) break;
      this.store(stream, all.subarray(from, end));
      from = end;
    }
    stream.waiting = from < all.length ? Buffer.from(all.subarray(from)) : undefined;
  }

  private store(stream: Gathering, data: Buffer): void {
    let rest = data;
    const { since: at, name } = stream;
    if (!this.tail) {
      const left = this.headLimit - this.headUsed;
      const size = rest.length <= left ? rest.length : wholeCharacters(rest.subarray(0, left));
      if (size > 0) this.backlog.add({ stream: name, offset: stream.offset, at }, rest.subarray(0, size));
      this.headUsed += size;
      stream.offset += size;
      rest = rest.subarray(size);
      if (size > 0) this.events.stored();
      if (rest.length === 0) return;
    }
    this.tail ??= new Tail(this.dir, this.tailLimit);
    this.tail.add(name, stream.offset, at, rest);
    this.events.live(name, stream.offset, at, rest);
    stream.offset += rest.length;
  }

  private closeTail(tail: Tail): void {
    const { omitted, pieces } = tail.finish();
    const at = new Date().toISOString();
    if (omitted > 0) {
      const text = Buffer.from(`\n[... ${omitted} bytes omitted ...]\n`);
      this.backlog.add({ stream: 'stdout', offset: this.headOffset(pieces), at, marker: true }, text);
    }
    for (const { stream, offset, at: printed, start, size } of pieces) {
      this.backlog.addStored({ stream, offset, at: printed }, size, () => tail.read(start, size));
    }
    this.events.stored();
  }

  /** Where stdout goes on after the gap, so that offsets never go backwards. */
  private headOffset(pieces: readonly { stream: StreamName; offset: number }[]): number {
    return pieces.find((piece) => piece.stream === 'stdout')?.offset ?? this.stdout.offset;
  }
}

/** How much of it ends with a whole character; a sequence that cannot become valid does not wait for more. */
function wholeCharacters(data: Buffer): number {
  const { length } = data;
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = data[length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed =
      byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 1;
    return needed > back ? length - back : length;
  }
  return length;
}
