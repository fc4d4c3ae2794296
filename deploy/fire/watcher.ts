/** A socket.io client written by hand, so that it can read as slowly as a bad line does: engine.io 4 over a plain socket. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const mask = Buffer.from([0, 0, 0, 0]);

export class Watcher {
  private readonly socket: Socket;
  private waiting: Buffer = Buffer.alloc(0);
  private upgraded = false;
  /** Bytes that came, messages of output among them. */
  received = 0;
  outputs = 0;
  closed = false;

  private constructor(
    url: URL,
    private readonly token: string,
    private readonly room: string,
    /** Bytes a second; 0 for as fast as it goes. */
    private readonly speed: number,
  ) {
    // A small window, or the kernels between would hold megabytes for the slow.
    this.socket = connect({ host: url.hostname, port: Number(url.port), ...(speed ? { highWaterMark: 1_024 } : {}) });
    this.socket.on('error', () => (this.closed = true));
    this.socket.on('close', () => (this.closed = true));
    this.socket.on('connect', () => this.greet(url));
    this.socket.on('data', (data: Buffer) => this.read(data));
  }

  static watch(url: string, token: string, run: string, speed = 0): Watcher {
    return new Watcher(new URL(url), token, `run:${run}`, speed);
  }

  close(): void {
    this.socket.destroy();
  }

  private greet({ host }: URL): void {
    const key = randomBytes(16).toString('base64');
    const lines = [
      'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
      `Host: ${host}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${key}`,
      'Sec-WebSocket-Version: 13',
    ];
    this.socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  }

  private read(data: Buffer): void {
    this.received += data.length;
    if (this.speed > 0) {
      this.socket.pause();
      setTimeout(() => this.socket.resume(), (1_000 * data.length) / this.speed).unref();
    }
    this.waiting = this.waiting.length > 0 ? Buffer.concat([this.waiting, data]) : data;
    if (!this.upgraded) {
      const end = this.waiting.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.upgraded = true;
      this.waiting = this.waiting.subarray(end + 4);
    }
    for (let text = this.frame(); text !== undefined; text = this.frame()) this.take(text);
  }

  private frame(): string | undefined {
    const { waiting } = this;
    if (waiting.length < 2) return undefined;
    const short = waiting[1]! & 0x7f;
    const head = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (waiting.length < head) return undefined;
    const size = short === 127 ? Number(waiting.readBigUInt64BE(2)) : short === 126 ? waiting.readUInt16BE(2) : short;
    if (waiting.length < head + size) return undefined;
    this.waiting = waiting.subarray(head + size);
    const kind = waiting[0]! & 0x0f;
    return kind === 1 ? waiting.toString('utf8', head, head + size) : '';
  }

  private take(text: string): void {
    if (text.startsWith('0')) this.say(`40${JSON.stringify({ token: this.token })}`);
    else if (text === '2') this.say('3');
    else if (text.startsWith('40')) this.say(`420${JSON.stringify(['subscribe', { room: this.room }])}`);
    else if (text.startsWith('42["output"')) this.outputs++;
  }

  private say(text: string): void {
    const body = Buffer.from(text);
    const head =
      body.length < 126
        ? Buffer.from([0x81, 0x80 | body.length])
        : Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255]);
    this.socket.write(Buffer.concat([head, mask, body]));
  }
}
