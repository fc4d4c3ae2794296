/** What one run prints: its secrets taken out, its own voice too, cut into chunks, capped to a beginning and an end. */
import { Backlog, type Memory } from './backlog.js';
import { formsOf } from './forms.js';
import { type StreamName } from './protocol.js';
import { Redactor, redacted } from './redactor.js';
import { Tail } from './tail.js';
import { type VoiceData, VoiceFilter } from './voice.js';
import { Words } from './words.js';

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
  /** The first `size` bytes of it wait. */
  room: Buffer;
  size: number;
  since: string;
  offset: number;
}

interface Redaction extends Record<StreamName, Redactor> {
  words: Words;
}

const chunkLimit = 64 * 1024;
const smallestRoom = 1024;
const none = Buffer.alloc(0);
const smallestLimit = 1024;

export class Output {
  readonly backlog: Backlog;
  /** Printed on both streams, voice and omitted bytes included. */
  bytes = 0;
  private readonly stdout: Gathering = { name: 'stdout', room: none, size: 0, since: '', offset: 0 };
  private readonly stderr: Gathering = { name: 'stderr', room: none, size: 0, since: '', offset: 0 };
  private readonly voice: VoiceFilter;
  private readonly headLimit: number;
  private readonly tailLimit: number;
  private headUsed = 0;
  private tail: Tail | undefined;
  /** Made with the first bytes: most runs have no secrets, and some print nothing. */
  private redaction: Redaction | undefined;
  private broken = false;

  constructor(
    private readonly dir: string,
    storeLimit: number,
    memory: Memory,
    private readonly events: OutputEvents,
    private readonly secrets: readonly string[] = [],
  ) {
    const limit = Math.max(smallestLimit, Math.floor(storeLimit));
    this.headLimit = Math.floor(limit / 2);
    this.tailLimit = limit - this.headLimit;
    this.backlog = new Backlog(dir, memory);
    this.voice = new VoiceFilter(
      (data) => this.gather(this.stdout, data),
      (data) => this.speak(data),
    );
  }

  /** While true, what is printed goes to the backlog and not to the ring, so it is worth making the command wait. */
  get inHead(): boolean {
    return !this.tail;
  }

  /** `data` is only valid during the call. */
  push(stream: StreamName, data: Buffer): void {
    this.bytes += data.length;
    if (this.broken) return;
    this.attempt(() => {
      if (this.secrets.length === 0) return this.take(stream, data);
      this.redaction ??= this.redact();
      this.redaction[stream].push(data);
    });
  }

  flush(): void {
    this.attempt(() => {
      const both = [this.stdout, this.stderr].sort((a, b) => (a.since < b.since ? -1 : 1));
      for (const stream of both) this.cut(stream, false);
    });
  }

  /** Everything is printed: sends what waited, and the end of a capped output. */
  end(): void {
    this.attempt(() => {
      this.redaction?.stdout.end();
      this.redaction?.stderr.end();
      this.voice.end();
      for (const stream of [this.stdout, this.stderr]) this.cut(stream, true);
      if (this.tail) this.closeTail(this.tail);
    });
  }

  close(): void {
    this.backlog.close();
    this.tail?.close();
  }

  private redact(): Redaction {
    const words = new Words(formsOf(this.secrets));
    const of = (stream: StreamName) => new Redactor(words, (data) => this.take(stream, data));
    return { words, stdout: of('stdout'), stderr: of('stderr') };
  }

  private take(stream: StreamName, data: Buffer): void {
    if (stream === 'stdout') this.voice.push(data);
    else this.gather(this.stderr, data);
  }

  /** Once more after the escapes of JSON: they spell a secret in ways that nobody can list. */
  private speak(data: VoiceData): void {
    const words = this.redaction?.words;
    if (!words) return this.events.voice(data);
    const said = Object.entries(data).map(([name, value]) => [
      name,
      typeof value === 'string' ? redacted(words, value) : value,
    ]);
    this.events.voice(Object.fromEntries(said) as VoiceData);
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

  /** In a room of its own that grows with need: a gigabyte is no garbage, and a few bytes take little. */
  private gather(stream: Gathering, data: Buffer): void {
    for (let from = 0; from < data.length;) {
      if (stream.size === 0) stream.since = new Date().toISOString();
      widen(stream, data.length - from);
      const size = Math.min(stream.room.length - stream.size, data.length - from);
      data.copy(stream.room, stream.size, from, from + size);
      stream.size += size;
      from += size;
      if (stream.size === chunkLimit) this.store(stream, false);
    }
    if (stream.size > 0) this.events.dirty();
  }

  private cut(stream: Gathering, last: boolean): void {
    const little = stream.size < smallestRoom;
    if (stream.size > 0) this.store(stream, last);
    // Who prints a lot keeps the room, or a new one every few milliseconds would be garbage of its own.
    if (last || (little && stream.size === 0)) stream.room = none;
  }

  /** What waits becomes a chunk; only at the `last` may a character stay incomplete. */
  private store(stream: Gathering, last: boolean): void {
    const all = stream.room.subarray(0, stream.size);
    const end = last ? all.length : wholeCharacters(all);
    if (end > 0) this.keep(stream, all.subarray(0, end));
    all.copyWithin(0, end);
    stream.size -= end;
  }

  private keep(stream: Gathering, data: Buffer): void {
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

function widen(stream: Gathering, more: number): void {
  const needed = Math.min(chunkLimit, stream.size + more);
  if (stream.room.length >= needed) return;
  const room = Buffer.allocUnsafe(Math.max(smallestRoom, 2 ** Math.ceil(Math.log2(needed))));
  stream.room.copy(room, 0, 0, stream.size);
  stream.room = room;
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
