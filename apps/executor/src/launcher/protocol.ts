/** What the executor and the launcher say to each other: u32 header length, u32 body length, JSON header, body. */
import { type Socket } from 'node:net';

/** Names one attempt; comes back in every frame as it was given. */
export type RunKey = string | { run: string; attempt: number; epoch: number | string };
export type StreamName = 'stdout' | 'stderr';
export type KillReason = 'cancel' | 'timeout' | 'fenced' | 'shutdown';

export const keyId = (key: RunKey): string =>
  typeof key === 'string' ? key : `${key.run}/${key.attempt}/${key.epoch}`;

export interface StartOrder {
  key: RunKey;
  argv: string[];
  /** The whole environment: nothing is inherited. */
  env: Record<string, string>;
  /** Variables whose values must not stand in what is kept of the output. */
  secret?: string[] | undefined;
  cwd?: string | undefined;
  timeoutMs?: number | undefined;
  /** Between SIGTERM and SIGKILL, when the launcher itself ends the run. */
  graceMs?: number | undefined;
  storeLimit?: number | undefined;
}

export type ToLauncher =
  | { type: 'hello'; executor: string }
  | ({ type: 'start' } & StartOrder)
  | { type: 'kill'; key: RunKey; why: KillReason; graceMs?: number | undefined }
  | { type: 'renew'; keys?: RunKey[] | undefined }
  | { type: 'ack'; key: RunKey; seq: number }
  | { type: 'forget'; key: RunKey }
  | { type: 'shutdown'; graceMs?: number | undefined };

export interface KnownRun {
  key: RunKey;
  /** Null where it never ran. */
  pid: number | null;
  state: 'running' | 'closed';
  firstUnackedSeq: number;
}

export type RefusalCode = 'command_not_found' | 'command_not_executable' | 'cwd_missing' | 'spawn_failed';

export interface Refused {
  key: RunKey;
  code: RefusalCode;
  errno: string;
  text: string;
}

export interface Chunk {
  key: RunKey;
  /** From 1 over both streams, without gaps; 0 for what is only to be watched. */
  seq: number;
  stream: StreamName;
  /** Bytes of that stream before it, a run's own voice not counted. */
  offset: number;
  at: string;
  /** Not printed by the command: says how much is left out here. */
  marker?: true;
  /** From the part that is not kept: for watchers, neither stored nor acknowledged. */
  live?: true;
}

export interface RunError {
  code: string;
  text: string;
}

export interface Closed {
  key: RunKey;
  exitCode: number | null;
  /** Set when a signal ended the main process; then the exit code is null, so 143 and SIGTERM are two things. */
  signal: string | null;
  /** Why the launcher ended it; null when it ended by itself. */
  killed: KillReason | null;
  /** Processes that even SIGKILL did not remove. */
  survivors: number[];
  /** Printed on both streams, kept or not, a run's own voice included. */
  bytes: number;
  startedAt: string;
  finishedAt: string;
  durationMs: number;
  /** Of the main process and the children it waited for. Peak memory is not told: a vfork child starts with ours. */
  cpuMs: number;
  error?: RunError | undefined;
}

export type ToExecutor =
  | { type: 'hello'; launcher: number; runs: KnownRun[] }
  | { type: 'started'; key: RunKey; pid: number }
  | ({ type: 'refused' } & Refused)
  | ({ type: 'chunk' } & Chunk)
  | { type: 'voice'; key: RunKey; data: Record<string, unknown> }
  | ({ type: 'closed' } & Closed);

const nothing = Buffer.alloc(0);
const longestFrame = 64 * 1024 * 1024;
/** Below it a copy is cheaper than another entry in a vectored write. */
const worthCopying = 128 * 1024;

/** Gathers the frames of one turn of the event loop into one write. */
export class FrameWriter {
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  private scheduled = false;

  constructor(private readonly socket: Socket) {}

  send(header: ToLauncher | ToExecutor, body: Buffer = nothing): void {
    const text = JSON.stringify(header);
    const size = Buffer.byteLength(text);
    const head = Buffer.allocUnsafe(8 + size);
    head.writeUInt32LE(size, 0);
    head.writeUInt32LE(body.length, 4);
    head.write(text, 8);
    this.pending.push(head);
    if (body.length > 0) this.pending.push(body);
    this.pendingBytes += head.length + body.length;
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.flush());
  }

  /** What the other side has not taken yet. */
  get backlog(): number {
    return this.pendingBytes + this.socket.writableLength;
  }

  flush(): void {
    this.scheduled = false;
    const { pending, pendingBytes } = this;
    this.pending = [];
    this.pendingBytes = 0;
    if (pending.length === 0 || !this.socket.writable) return;
    if (pendingBytes <= worthCopying) {
      this.socket.write(Buffer.concat(pending, pendingBytes));
      return;
    }
    this.socket.cork();
    for (const each of pending) this.socket.write(each);
    this.socket.uncork();
  }
}

/** Cuts what arrives into frames; a body is a view of what arrived and may be kept. */
export class FrameReader<T> {
  private parts: Buffer[] = [];
  private size = 0;
  private wanted = 8;

  push(data: Buffer): void {
    this.parts.push(data);
    this.size += data.length;
  }

  next(): { header: T; body: Buffer } | undefined {
    if (this.size < this.wanted) return undefined;
    const all = this.parts.length === 1 ? (this.parts[0] ?? nothing) : Buffer.concat(this.parts, this.size);
    this.parts = [all];
    const headerEnd = 8 + all.readUInt32LE(0);
    const end = headerEnd + all.readUInt32LE(4);
    if (end > longestFrame) throw new Error('A frame is longer than any frame of ours');
    if (all.length < end) {
      this.wanted = end;
      return undefined;
    }
    const header = JSON.parse(all.toString('utf8', 8, headerEnd)) as T;
    const rest = all.subarray(end);
    this.parts = rest.length > 0 ? [rest] : [];
    this.size = rest.length;
    this.wanted = 8;
    return { header, body: all.subarray(headerEnd, end) };
  }
}
