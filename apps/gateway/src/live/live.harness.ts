import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { io, type Socket } from 'socket.io-client';
import { type z } from 'zod';
import { socketMessages, socketRefusal, told } from './live.shapes.js';

export interface Told {
  position: string;
  stream: string;
  type: string;
  data: Record<string, unknown>;
}
export interface Piece {
  run: string;
  attempt: number;
  seq: number;
  stream: string;
  text: string;
  live?: boolean;
}
export interface Acknowledged {
  ok?: boolean;
  position?: string;
  error?: { code: string; message: string };
}

/** One who watches: keeps what he was told, and goes on where he stopped when he comes back. */
export class Watcher {
  readonly events: Told[] = [];
  readonly pieces: Piece[] = [];
  /** What came in another shape than it is described in. */
  private readonly faults: string[] = [];
  socket: Socket;

  constructor(
    private readonly url: string,
    private readonly auth: { token?: string; headers?: Record<string, string> },
  ) {
    this.socket = this.open();
  }

  get position(): string {
    return this.events.reduce((last, { position }) => (BigInt(position) > BigInt(last) ? position : last), '0');
  }

  get place(): { attempt: number; seq: number } {
    return this.pieces.reduce(
      (last, { attempt, seq, live }) =>
        !live && (attempt > last.attempt || (attempt === last.attempt && seq > last.seq)) ? { attempt, seq } : last,
      { attempt: 0, seq: 0 },
    );
  }

  /** Resolves when let in; rejects with what refused him. */
  in(): Promise<this> {
    if (this.socket.connected) return Promise.resolve(this);
    return new Promise((resolve, reject) => {
      this.socket.once('connect', () => resolve(this));
      this.socket.once('connect_error', reject);
    });
  }

  async say(message: string, ...rest: unknown[]): Promise<Acknowledged> {
    const answer = (await this.socket.timeout(60_000).emitWithAck(message, ...rest)) as Acknowledged;
    const known = socketMessages[message as keyof typeof socketMessages];
    return this.fitting(`the answer to ${message}`, answer.error ? socketRefusal : known.answer, answer);
  }

  subscribe(room: string, more: object = {}): Promise<Acknowledged> {
    return this.say('subscribe', { room, ...more });
  }

  /** Cuts the line and comes back on a new one. */
  async comeBack(): Promise<void> {
    this.socket.disconnect();
    this.socket = this.open();
    await this.in();
  }

  leave(): void {
    this.socket.disconnect();
    this.complain();
  }

  /** Stored pieces of an attempt, each once, in order. */
  text(attempt = 1): string {
    const once = new Map(
      this.pieces.filter((piece) => piece.attempt === attempt && !piece.live).map((piece) => [piece.seq, piece]),
    );
    return [...once.values()]
      .sort((a, b) => a.seq - b.seq)
      .map(({ text }) => text)
      .join('');
  }

  async until(what: string, seen: () => boolean): Promise<void> {
    const until = performance.now() + 60_000;
    while (!seen()) {
      if (performance.now() > until) throw new Error(`Waited a minute for ${what}`);
      await sleep(20);
    }
    this.complain();
  }

  /** Nothing that is undescribed, nothing missing. */
  private fitting<T>(what: string, shape: z.ZodType, message: T): T {
    const { data, error } = shape.safeParse(message);
    if (!isDeepStrictEqual(data, message)) {
      this.faults.push(`${what}: ${error?.message ?? 'more than is described'}: ${JSON.stringify(message)}`);
    }
    return message;
  }

  private complain(): void {
    if (this.faults.length > 0) throw new Error(this.faults.slice(0, 3).join('\n'));
  }

  private open(): Socket {
    const { token, headers } = this.auth;
    const socket = io(this.url, {
      path: '/socket.io',
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
      ...(token ? { auth: { token } } : {}),
      ...(headers ? { extraHeaders: headers } : {}),
    });
    socket.on('event', (event: Told) => this.events.push(this.fitting('event', told.event, event)));
    socket.on('output', (piece: Piece) => this.pieces.push(this.fitting('output', told.output, piece)));
    return socket;
  }
}
