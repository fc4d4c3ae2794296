import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { WebSocket, type ClientOptions } from 'ws';
import { serverFrames, type Frame, type FrameOf } from './frames.shapes.js';

/** A plain WebSocket client that keeps what it was told, and holds it against the description. */
export class TaskClient {
  readonly frames: Frame[] = [];
  readonly socket: WebSocket;
  closed: { code: number; reason: string } | null = null;
  private readonly faults: string[] = [];

  constructor(url: string, options: ClientOptions = {}) {
    this.socket = new WebSocket(url, options);
    this.socket.on('message', (data) => this.take(JSON.parse(String(data as Buffer)) as Frame));
    this.socket.on('close', (code, reason) => (this.closed = { code, reason: String(reason) }));
    this.socket.on('error', () => undefined);
  }

  /** Resolves with its first frame; a refused handshake answers its status and body instead. */
  static open(url: string, headers: Record<string, string> = {}): Promise<TaskClient> {
    const client = new TaskClient(url, { headers });
    return client.some('connected').then(() => client);
  }

  /** What a handshake is refused with. */
  static refused(
    url: string,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; type: string; body: unknown }> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { headers });
      socket.on('open', () => reject(new Error('it was let in')));
      socket.on('error', reject);
      socket.on('unexpected-response', (_request, answer) => {
        const pieces: Buffer[] = [];
        answer.on('data', (piece: Buffer) => pieces.push(piece));
        answer.on('end', () => {
          const body = JSON.parse(Buffer.concat(pieces).toString()) as unknown;
          resolve({ status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', body });
        });
      });
    });
  }

  of<K extends keyof typeof serverFrames>(type: K, execution?: string): FrameOf<K>[] {
    const mine = (frame: Frame) =>
      execution === undefined || (frame.data as { executionId?: string }).executionId === execution;
    return this.frames.filter((frame) => frame.type === type && mine(frame)) as FrameOf<K>[];
  }

  /** The first frame of this type, once it is there. */
  async some<K extends keyof typeof serverFrames>(type: K, execution?: string): Promise<FrameOf<K>> {
    await this.until(`a frame ${type}`, () => this.of(type, execution).length > 0);
    return this.of(type, execution)[0]!;
  }

  async until(what: string, seen: () => boolean): Promise<void> {
    for (const end = performance.now() + 60_000; !seen(); await sleep(10)) {
      if (this.faults.length > 0) throw new Error(this.faults.slice(0, 3).join('\n'));
      if (performance.now() < end && (!this.closed || seen())) continue;
      throw new Error(`Waited for ${what}; closed: ${JSON.stringify(this.closed)}`);
    }
  }

  /** What an execution printed, each piece once and in order. */
  output(execution: string, stream?: string): string {
    const pieces = this.of('terminal_output', execution).map(({ data }) => data);
    return pieces
      .filter((piece) => !piece.live && (stream === undefined || piece.stream === stream))
      .map((piece) => piece.output)
      .join('');
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  leave(): void {
    this.socket.terminate();
    if (this.faults.length > 0) throw new Error(this.faults.slice(0, 3).join('\n'));
  }

  private take(frame: Frame): void {
    this.frames.push(frame);
    const shape = serverFrames[frame.type];
    const { data, error } = shape.safeParse(frame);
    if (isDeepStrictEqual(data, frame)) return;
    this.faults.push(`${error?.message ?? 'more than is described'}: ${JSON.stringify(frame).slice(0, 500)}`);
  }
}
