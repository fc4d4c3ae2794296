import { type Api } from './api.js';
import { write, type Sink } from './print.js';
import { TerminalFilter } from './terminal.js';

type StreamName = 'stdout' | 'stderr';
const streamNames: StreamName[] = ['stdout', 'stderr'];

export interface Place {
  attempt: number;
  seq: number;
}

/** A piece of what a run printed. */
export interface Piece extends Place {
  stream: StreamName;
  text: string;
  /** A sample of what is not kept. */
  live?: boolean;
}

/**
 * Passes on what a run prints, every byte once: pieces of text in their order, and from the first that is no text on the
 * stored bytes, stream by stream.
 */
export class RunOutput {
  private seq = 0;
  private bytewise = false;
  private behind = false;
  private passed: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  private readonly filters = { stdout: new TerminalFilter(), stderr: new TerminalFilter() };

  constructor(
    private readonly api: Api,
    private readonly run: string,
    private attempt: number,
    private readonly sinks: Record<StreamName, Sink>,
  ) {}

  get place(): Place {
    return { attempt: this.attempt, seq: this.seq };
  }

  async pass({ attempt, seq, stream, text, live }: Piece): Promise<void> {
    if (live || attempt < this.attempt || (attempt === this.attempt && seq <= this.seq)) return;
    await this.advance(attempt);
    this.bytewise ||= seq !== this.seq + 1 || text.includes('\ufffd');
    this.behind ||= this.bytewise;
    this.seq = seq;
    if (this.bytewise) return;
    this.passed[stream] += Buffer.byteLength(text);
    await this.write(stream, text);
  }

  /** Where pieces of text are of no use. */
  async catchUp(): Promise<void> {
    if (this.behind) await this.drain();
  }

  /** Whatever is left of this attempt and those before it, which are over. */
  async finish(attempt: number): Promise<void> {
    await this.advance(attempt);
    await this.rest();
  }

  private async advance(attempt: number): Promise<void> {
    while (this.attempt < attempt) {
      await this.rest();
      this.attempt++;
      this.seq = 0;
      this.bytewise = false;
      this.passed = { stdout: 0, stderr: 0 };
    }
  }

  private async rest(): Promise<void> {
    if (!this.bytewise) {
      const from = this.passed.stdout + this.passed.stderr;
      for (const piece of await readPieces(this.api, this.run, this.attempt, from)) await this.pass(piece);
    }
    if (this.bytewise) await this.drain();
  }

  private async drain(): Promise<void> {
    const { run, attempt } = this;
    for (const stream of streamNames) {
      const range = { stream, attempt, from: this.passed[stream] };
      const bytes = await this.api.bytes(`/api/v1/runs/${run}/output`, range);
      this.passed[stream] += bytes.length;
      await this.write(stream, bytes);
    }
    this.behind = false;
  }

  private write(stream: StreamName, data: string | Uint8Array): Promise<void> {
    const sink = this.sinks[stream];
    if (!sink.isTTY) return write(sink, data);
    return write(sink, this.filters[stream].push(typeof data === 'string' ? data : Buffer.from(data).toString()));
  }
}

/** Stored pieces of one attempt, from a byte on. */
export async function readPieces(api: Api, run: string, attempt: number, from = 0): Promise<Piece[]> {
  const text = await api.text(`/api/v1/runs/${run}/output`, { attempt, from }, 'application/x-ndjson');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Piece);
}
