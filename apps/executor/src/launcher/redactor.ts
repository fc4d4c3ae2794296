/** Takes secrets out of a stream of bytes, wherever its pieces are cut. */
import { type Words } from './words.js';

/** What stands for everything that words cover without a gap. */
const mark = Buffer.from('***');
const none = Buffer.alloc(0);

interface Span {
  start: number;
  end: number;
}

/**
 * Every byte that belongs to a word goes, also where words overlap. What may yet become a word is held back: the longest end of
 * the stream that a word begins with.
 */
export class Redactor {
  private node = 0;
  private held: Buffer = none;
  /** Covered bytes of what is held. */
  private spans: Span[] = [];
  /** The last byte that went was a covered one. */
  private covered = false;

  constructor(
    private readonly words: Words,
    private readonly pass: (data: Buffer) => void,
  ) {}

  /** `data` is only valid during the call. */
  push(data: Buffer): void {
    const all = this.held.length > 0 ? Buffer.concat([this.held, data]) : data;
    this.scan(all, this.held.length);
    this.let(all, all.length - this.words.depth[this.node]!);
  }

  /** Nothing follows: what is held is no word. */
  end(): void {
    this.let(this.held, this.held.length);
    this.node = 0;
  }

  private scan(all: Buffer, from: number): void {
    const { words } = this;
    let { node } = this;
    for (let at = from; at < all.length; at++) {
      if (node === 0) {
        at = words.skip(all, at);
        if (at === all.length) break;
      }
      node = words.next(node, all[at]!);
      const size = words.found[node]!;
      if (size > 0) this.cover(at + 1 - size, at + 1);
    }
    this.node = words.begun(node);
  }

  private cover(start: number, end: number): void {
    let from = start;
    for (let last = this.spans.at(-1); last && last.end >= from; last = this.spans.at(-1)) {
      from = Math.min(from, last.start);
      this.spans.pop();
    }
    this.spans.push({ start: from, end });
  }

  /** Lets everything before `upTo` go. */
  private let(all: Buffer, upTo: number): void {
    let at = 0;
    for (const { start, end } of this.spans) {
      if (start >= upTo) break;
      if (start > at) this.forward(all.subarray(at, start));
      if (!this.covered) this.pass(mark);
      this.covered = true;
      at = Math.min(end, upTo);
    }
    if (upTo > at) this.forward(all.subarray(at, upTo));
    this.held = upTo < all.length ? Buffer.from(all.subarray(upTo)) : none;
    this.spans = this.spans
      .filter(({ end }) => end > upTo)
      .map(({ start, end }) => ({ start: Math.max(start - upTo, 0), end: end - upTo }));
  }

  private forward(data: Buffer): void {
    this.covered = false;
    this.pass(data);
  }
}

/** The same for a text that is there as a whole. */
export function redacted(words: Words, text: string): string {
  const kept: Buffer[] = [];
  const redactor = new Redactor(words, (data) => void kept.push(Buffer.from(data)));
  redactor.push(Buffer.from(text));
  redactor.end();
  return Buffer.concat(kept).toString('utf8');
}
