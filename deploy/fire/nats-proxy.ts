/** Stands between the services and nats-server, understands its frames, and loses, doubles and delays the messages in them. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Dice } from './dice.js';

export interface Mischief {
  /** Shares of all messages that are delivered to a service. */
  readonly drop: number;
  readonly double: number;
  readonly delay: number;
  readonly delayMs: number;
}

export interface Tally {
  passed: number;
  dropped: number;
  doubled: number;
  delayed: number;
}

const none: Mischief = { drop: 0, double: 0, delay: 0, delayMs: 0 };

export class NatsProxy {
  readonly tally: Tally = { passed: 0, dropped: 0, doubled: 0, delayed: 0 };
  private mischief = none;
  private readonly sockets = new Set<Socket>();
  private server: Server;

  constructor(
    private readonly target: number,
    private readonly dice: Dice,
  ) {}

  /** Answers the port that the services connect to. */
  listen(): Promise<number> {
    this.server = createServer((client) => this.join(client));
    return new Promise((resolve) => {
      this.server.listen(0, '127.0.0.1', () => resolve((this.server.address() as { port: number }).port));
    });
  }

  play(mischief: Partial<Mischief>): void {
    this.mischief = { ...none, ...mischief };
  }

  /** Every connection breaks at once. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  private join(client: Socket): void {
    const server = connect(this.target, '127.0.0.1');
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => one.destroy());
      one.on('close', () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    client.pipe(server);
    const frames = new Frames();
    server.on('data', (data: Buffer) => {
      for (const frame of frames.push(data)) this.deliver(client, frame);
    });
  }

  private deliver(client: Socket, { bytes, message }: Frame): void {
    const { dice, tally, mischief } = this;
    const send = () => !client.destroyed && client.write(bytes);
    if (!message) return void send();
    tally.passed++;
    if (dice.chance(mischief.drop)) {
      tally.dropped++;
      return;
    }
    if (dice.chance(mischief.double)) {
      tally.doubled++;
      send();
    }
    if (!dice.chance(mischief.delay)) return void send();
    tally.delayed++;
    setTimeout(send, dice.between(1, mischief.delayMs)).unref();
  }
}

interface Frame {
  readonly bytes: Buffer;
  readonly message: boolean;
}

/** Cuts what nats-server sends into its frames: lines, and MSG or HMSG lines with as many bytes as they say. */
class Frames {
  private waiting: Buffer = Buffer.alloc(0);

  push(data: Buffer): Frame[] {
    this.waiting = this.waiting.length > 0 ? Buffer.concat([this.waiting, data]) : data;
    const found: Frame[] = [];
    for (;;) {
      const end = this.waiting.indexOf('\r\n');
      if (end < 0) return found;
      const line = this.waiting.toString('latin1', 0, end);
      const message = /^H?MSG /i.test(line);
      const size = end + 2 + (message ? Number(line.split(' ').at(-1)) + 2 : 0);
      if (this.waiting.length < size) return found;
      found.push({ bytes: this.waiting.subarray(0, size), message });
      this.waiting = this.waiting.subarray(size);
    }
  }
}
