/** Somebody who is sent things over HTTP, and behaves as badly as a test wants. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { freePort } from './ports.js';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

type Answer = (response: ServerResponse) => unknown;

export class HttpReceiver {
  /** What was answered with 200, in the order in which it came. */
  readonly received: Received[] = [];
  /** How often anybody came at all. */
  connections = 0;
  /** Instead of 200. */
  answer: Answer | null = null;
  private server: Server | null = null;

  private constructor(readonly port: number) {}

  static async start(): Promise<HttpReceiver> {
    const receiver = new HttpReceiver(await freePort());
    await receiver.listen();
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  async listen(): Promise<void> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        if (this.answer) return this.answer(response);
        const body = Buffer.concat(parts).toString();
        this.received.push({ path: request.url ?? '', headers: request.headers, body });
        return response.end('thanks');
      });
    });
    server.on('connection', () => this.connections++);
    this.server = server;
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(this.port, '127.0.0.1', resolve));
  }

  /** Nobody is there any more; what hangs is cut off. */
  async close(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (!server) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }
}
