/** One attempt from its start order to its end frame, and what the executor has not yet been told of it. */
import { type Memory } from './backlog.js';
import { Output, type OutputEvents } from './output.js';
import { Pipe } from './pipe.js';
import { type Wanted } from './proc.js';
import {
  type Closed,
  type KillReason,
  type RunError,
  type RunKey,
  type StartOrder,
  type StreamName,
} from './protocol.js';
import { type Reaped } from './libc.js';
import { type ToExecutor } from './protocol.js';

export interface Frame {
  header: ToExecutor;
  body?: Buffer;
}

export interface RunHost {
  spoolDir: string;
  memory: Memory;
  /** Unacknowledged bytes at which the command has to wait. */
  holdBytes: number;
  dirty: (run: Run) => void;
  /** So many bytes were read. */
  took: (run: Run, bytes: number) => void;
  /** There may be something to send. */
  pump: (run: Run) => void;
  sendLive: (frame: Frame) => void;
  /** Ends a run whose output cannot be kept. */
  broken: (run: Run) => void;
  /** A pipe was closed by its last writer. */
  pipeEnded: (run: Run) => void;
}

const defaultStoreLimit = 10 * 1024 * 1024;
const livePerSecond = 64 * 1024;
const voiceQueueLimit = 32;

export class Run {
  readonly key: RunKey;
  readonly graceMs: number;
  readonly startedAt = new Date().toISOString();
  readonly begun = performance.now();
  /** Monotonic: when it must be over, and when it was last renewed. */
  readonly deadline: number;
  renewed = performance.now();
  killed: KillReason | null = null;
  exit: Reaped | undefined;
  private ended: { at: string; ms: number } | undefined;
  /** Until when somebody else may hold the pipes after the exit. */
  drainUntil = Infinity;
  error: RunError | undefined;
  private readonly marks: string[];
  private readonly output: Output;
  private readonly pipes: Pipe[] = [];
  private started = false;
  private voices: Record<string, unknown>[] = [];
  private voice: Record<string, unknown> | undefined;
  private end: ToExecutor | undefined;
  private endSent = false;
  private full = false;
  private heldBack = false;
  private liveAllowance = livePerSecond;
  private liveAt = performance.now();

  constructor(
    order: StartOrder,
    readonly tag: bigint,
    readonly pid: number | null,
    private readonly host: RunHost,
  ) {
    this.key = order.key;
    this.graceMs = order.graceMs ?? 10_000;
    this.deadline = order.timeoutMs === undefined ? Infinity : this.begun + order.timeoutMs;
    this.marks = ['RUNLEDGER_RUN_ID', 'RUNLEDGER_ATTEMPT']
      .filter((name) => order.env[name] !== undefined)
      .map((name) => `${name}=${order.env[name]}`);
    // An attempt number alone would match every other run.
    if (order.env['RUNLEDGER_RUN_ID'] === undefined) this.marks = [];
    const secrets = (order.secret ?? []).map((name) => order.env[name] ?? '');
    const events: OutputEvents = {
      dirty: () => host.dirty(this),
      stored: () => this.stored(),
      voice: (data) => this.speak(data),
      live: (stream, offset, at, data) => this.show(stream, offset, at, data),
      broken: (error) => this.breakWith(error),
    };
    this.output = new Output(host.spoolDir, order.storeLimit ?? defaultStoreLimit, host.memory, events, secrets);
  }

  get isOver(): boolean {
    return this.end !== undefined;
  }

  get wanted(): Wanted {
    return { tag: this.tag, main: this.pid ?? -1, mainAlive: !this.exit, marks: this.marks };
  }

  get firstUnackedSeq(): number {
    return this.output.backlog.firstUnacked;
  }

  /** Bytes of chunks sent and not acknowledged. */
  get inFlight(): number {
    return this.output.backlog.inFlight;
  }

  get pipesEnded(): boolean {
    return this.pipes.every((pipe) => pipe.ended);
  }

  listen(stream: StreamName, fd: number): void {
    const onEnd = () => this.host.pipeEnded(this);
    const take = (data: Buffer) => {
      this.output.push(stream, data);
      this.host.took(this, data.length);
    };
    this.pipes.push(new Pipe(fd, take, onEnd));
  }

  attach(): void {
    if (this.end) return;
    for (const pipe of this.pipes) pipe.attach();
  }

  exited(child: Reaped): void {
    this.exit = child;
    this.ended = { at: new Date().toISOString(), ms: Math.round(performance.now() - this.begun) };
  }

  drain(): void {
    for (const pipe of this.pipes) pipe.drain();
  }

  flush(): void {
    if (!this.end) this.output.flush();
  }

  refuse(header: ToExecutor): void {
    this.started = true;
    this.end = header;
    this.host.pump(this);
  }

  /** What is still in the pipes is taken; whoever holds them from now on writes to nobody. */
  finish(survivors: number[]): void {
    if (this.end) return;
    this.drain();
    for (const pipe of this.pipes) pipe.close();
    this.output.end();
    const closed: Closed = {
      key: this.key,
      exitCode: this.exit?.exitCode ?? null,
      signal: this.exit?.signal ?? null,
      killed: this.killed,
      survivors,
      bytes: this.output.bytes,
      startedAt: this.startedAt,
      finishedAt: this.ended?.at ?? new Date().toISOString(),
      durationMs: this.ended?.ms ?? Math.round(performance.now() - this.begun),
      cpuMs: this.exit?.cpuMs ?? 0,
      error: this.error,
    };
    this.end = { type: 'closed', ...closed };
    this.host.pump(this);
  }

  ack(seq: number): void {
    this.output.backlog.ack(seq);
    this.holdOrResume();
  }

  forget(): void {
    this.output.close();
  }

  /** A new executor has read in `hello` that the run started. */
  rewind(): void {
    this.started = true;
    this.endSent = false;
    this.voices = this.voice ? [this.voice] : [];
    this.output.backlog.rewind();
  }

  /** The next frame that the executor has not got, in the order in which it must get them. */
  nextFrame(): Frame | undefined {
    if (!this.started) {
      this.started = true;
      return { header: { type: 'started', key: this.key, pid: this.pid ?? -1 } };
    }
    const data = this.voices.shift();
    if (data) return { header: { type: 'voice', key: this.key, data } };
    try {
      const chunk = this.output.backlog.next();
      if (chunk) return { header: { type: 'chunk', key: this.key, ...chunk.head }, body: chunk.body };
    } catch (error) {
      this.breakWith(error);
      return this.nextFrame();
    }
    if (!this.end || this.endSent) return undefined;
    this.endSent = true;
    return { header: this.end };
  }

  /** Beside the backlog's own limit. */
  holdBack(heldBack: boolean): void {
    this.heldBack = heldBack;
    this.holdOrResume();
  }

  private stored(): void {
    this.holdOrResume();
    this.host.pump(this);
  }

  private holdOrResume(): void {
    const { backlog, inHead } = this.output;
    if (!inHead) this.full = false;
    else if (backlog.bytes >= this.host.holdBytes) this.full = true;
    // Some distance between stop and go, or each acknowledgement would wake the command for one chunk.
    else if (backlog.bytes < this.host.holdBytes * 0.75) this.full = false;
    for (const pipe of this.pipes) pipe.hold(this.full || this.heldBack);
  }

  private speak(data: Record<string, unknown>): void {
    this.voice = { ...this.voice, ...data };
    // Last words win, so an executor that is away or slow gets their sum.
    if (this.voices.length < voiceQueueLimit) this.voices.push(data);
    else this.voices = [this.voice];
    this.host.pump(this);
  }

  private show(stream: StreamName, offset: number, at: string, data: Buffer): void {
    const now = performance.now();
    const earned = ((now - this.liveAt) / 1000) * livePerSecond;
    this.liveAllowance = Math.min(livePerSecond, this.liveAllowance + earned);
    this.liveAt = now;
    if (data.length > this.liveAllowance) return;
    this.liveAllowance -= data.length;
    const header: ToExecutor = { type: 'chunk', key: this.key, seq: 0, stream, offset, at, live: true };
    this.host.sendLive({ header, body: Buffer.from(data) });
  }

  private breakWith(error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
    const text = error instanceof Error ? error.message : String(error);
    if (this.error) return;
    this.error = { code, text: `The run's output could not be kept: ${text}` };
    if (this.end?.type === 'closed') this.end = { ...this.end, error: this.error };
    else this.host.broken(this);
  }
}
