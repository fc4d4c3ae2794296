/** What the launcher's tests share: one launcher in a directory of its own, and everything it says, gathered. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LauncherClient, type LauncherOptions } from './launcher-client.js';
import { snapshot } from './proc.js';
import { type Chunk, type Closed, keyId, type Refused, type RunKey, type StartOrder } from './protocol.js';

export interface Heard {
  pid?: number;
  chunks: { chunk: Chunk; bytes: Buffer }[];
  voices: Record<string, unknown>[];
  closed?: Closed;
  refused?: Refused;
}

type Settings = Partial<Pick<LauncherOptions, 'deadManMs' | 'idleExitMs' | 'holdBytes' | 'dir'>> & { acks?: boolean };

export const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class Bench {
  readonly dir: string;
  readonly heard = new Map<string, Heard>();
  gone = 0;
  acks: boolean;
  client!: LauncherClient;

  constructor(private readonly settings: Settings = {}) {
    this.dir = settings.dir ?? mkdtempSync(join(tmpdir(), 'launcher-'));
    this.acks = settings.acks ?? true;
  }

  async connect(): Promise<this> {
    this.client = await LauncherClient.connect({
      ...this.settings,
      dir: this.dir,
      executor: 'test',
      onStarted: (key, pid) => (this.of(key).pid = pid),
      onRefused: (refused) => (this.of(refused.key).refused = refused),
      onChunk: (chunk, bytes) => {
        this.take(chunk, bytes);
        if (this.acks && !chunk.live) this.client.ack(chunk.key, chunk.seq);
      },
      onVoice: (key, data) => this.of(key).voices.push(data),
      onClosed: (closed) => (this.of(closed.key).closed = closed),
      onGone: () => this.gone++,
    });
    return this;
  }

  /** A resent chunk must be the one that was sent before. */
  private take(chunk: Chunk, bytes: Buffer): void {
    const { chunks } = this.of(chunk.key);
    const known = chunk.live ? undefined : chunks.find((each) => each.chunk.seq === chunk.seq);
    if (!known) chunks.push({ chunk, bytes: Buffer.from(bytes) });
    else if (!known.bytes.equals(bytes)) throw new Error(`chunk ${chunk.seq} came twice with different bytes`);
  }

  of(key: RunKey): Heard {
    const id = keyId(key);
    const heard = this.heard.get(id) ?? { chunks: [], voices: [] };
    this.heard.set(id, heard);
    return heard;
  }

  start(key: RunKey, argv: string[], order: Partial<StartOrder> = {}): void {
    this.client.start({ key, argv, env: { PATH: path }, graceMs: 1000, ...order });
  }

  sh(key: RunKey, script: string, order: Partial<StartOrder> = {}): void {
    this.start(key, ['/bin/bash', '-c', script], order);
  }

  closed(key: RunKey): Promise<Closed> {
    return until(() => this.of(key).closed, `end of ${keyId(key)}`);
  }

  stored(key: RunKey, stream?: 'stdout' | 'stderr'): Buffer {
    const chunks = this.of(key).chunks.filter(({ chunk }) => !chunk.live && (!stream || chunk.stream === stream));
    chunks.sort((a, b) => a.chunk.seq - b.chunk.seq);
    return Buffer.concat(chunks.map(({ bytes }) => bytes));
  }

  async stop(): Promise<void> {
    const { pid } = this.client;
    this.client.shutdown(0);
    for (const key of this.heard.keys()) this.client.forget(key);
    this.client.close();
    await sleep(50);
    if (alive(pid)) process.kill(pid, 'SIGTERM');
    await until(() => !alive(pid) || undefined, 'the launcher to exit').catch(() => process.kill(pid, 'SIGKILL'));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A minute at most: far longer than it takes, since a busy machine may stall. */
export async function until<T>(ask: () => T | undefined, what: string): Promise<T> {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(10)) {
    const answer = ask();
    if (answer !== undefined) return answer;
  }
  throw new Error(`waited a minute for ${what}`);
}

export function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Living processes whose command line holds the word. */
export function withWord(word: string): number[] {
  return snapshot().flatMap(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word) ? [pid] : [];
    } catch {
      return [];
    }
  });
}

export const sha = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
