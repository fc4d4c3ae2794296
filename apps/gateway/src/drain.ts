import { type Server } from 'node:http';
import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';

const look = 100;
const patience = 10_000;

/**
 * Lets requests in flight be answered when the gateway stops, and no connection outlive them: a client that keeps its
 * connection open, or keeps using it, must not keep the gateway from closing.
 */
@Injectable()
export class Drain implements BeforeApplicationShutdown {
  private readonly servers: Server[] = [];
  private closing = false;

  add(server: Server): void {
    this.servers.push(server);
    server.prependListener('request', (_request, response) => {
      if (this.closing) response.setHeader('connection', 'close');
    });
  }

  beforeApplicationShutdown(): void {
    this.closing = true;
    const idle = setInterval(() => this.servers.forEach((server) => server.closeIdleConnections()), look);
    const all = setTimeout(() => this.servers.forEach((server) => server.closeAllConnections()), patience);
    idle.unref();
    all.unref();
  }
}
