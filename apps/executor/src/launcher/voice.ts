/** Takes a run's own voice, lines `##runledger {…}`, out of what it prints to stdout. */

const mark = Buffer.from('##runledger ');
const newline = 10;
/** A longer line is ordinary output: nobody means 64 KiB of progress. */
const longest = 64 * 1024;

export type VoiceData = Record<string, unknown>;

export class VoiceFilter {
  private lineStart = true;
  /** The beginning of a line that is, or may become, a voice line. */
  private held: Buffer | undefined;

  constructor(
    private readonly pass: (data: Buffer) => void,
    private readonly speak: (data: VoiceData) => void,
  ) {}

  push(data: Buffer): void {
    const all = this.held ? Buffer.concat([this.held, data]) : data;
    this.held = undefined;
    let from = 0;
    while (from < all.length) {
      const candidate = this.nextCandidate(all, from);
      if (candidate > from) this.forward(all.subarray(from, candidate));
      if (candidate === all.length) return;
      const end = all.indexOf(newline, candidate);
      if (end < 0 && all.length - candidate <= longest) {
        this.held = Buffer.from(all.subarray(candidate));
        return;
      }
      if (end < 0) return this.forward(all.subarray(candidate));
      this.judge(all.subarray(candidate, end + 1));
      from = end + 1;
    }
  }

  /** A last line without a newline is a line. */
  end(): void {
    const rest = this.held;
    this.held = undefined;
    if (rest) this.judge(rest);
  }

  /** Where, at the beginning of a line, the mark stands or may still come; the length where it does not. */
  private nextCandidate(all: Buffer, from: number): number {
    if (this.lineStart && beginsLikeMark(all, from)) return from;
    // The native search makes gigabytes of other output cost next to nothing.
    for (let at = all.indexOf(mark, from); at >= 0; at = all.indexOf(mark, at + 1)) {
      if (at > from && all[at - 1] === newline) return at;
    }
    const last = all.lastIndexOf(newline) + 1;
    return last > from && last < all.length && beginsLikeMark(all, last) ? last : all.length;
  }

  private judge(line: Buffer): void {
    const data = line.length <= longest && line.length > mark.length ? parse(line) : undefined;
    if (data) this.speak(data);
    else this.forward(line);
  }

  private forward(data: Buffer): void {
    this.lineStart = data[data.length - 1] === newline;
    this.pass(data);
  }
}

function beginsLikeMark(all: Buffer, at: number): boolean {
  const size = Math.min(mark.length, all.length - at);
  return size > 0 && all.compare(mark, 0, size, at, at + size) === 0;
}

function parse(line: Buffer): VoiceData | undefined {
  if (line.compare(mark, 0, mark.length, 0, mark.length) !== 0) return undefined;
  try {
    const value: unknown = JSON.parse(line.toString('utf8', mark.length));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is VoiceData =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
