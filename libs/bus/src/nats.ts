import {
  AuthorizationError,
  connect,
  createInbox,
  type Msg,
  type NatsConnection,
  PermissionViolationError,
  type Status,
  type Subscription,
} from '@nats-io/transport-node';
import { setTimeout as pause } from 'node:timers/promises';
import { bounded } from './bounded.js';
import { type Calls } from './calls.js';
import { natsAddress } from './nats-address.js';
import { type BusPorts } from './options.js';
import { busDown } from './unavailable.js';
import { type RequestHandler, type Wire } from './wire.js';

const REDIAL_MS = 250;
const FLUSH_MS = 1000;

/** A subscription that outlives its connection. */
interface Line {
  wireName: string;
  group?: string;
  take: (message: Msg) => void;
  subscription?: Subscription;
}

/** One connection for calls, handlers and bells; it never gives up, and says at once when it is down. */
export class NatsWire implements Wire {
  readonly kind = 'nats';
  private readonly lines = new Set<Line>();
  private readonly inbox: string;
  private connection: NatsConnection | undefined;
  private dialing: Promise<void> | undefined;
  private connected = false;
  private closing = false;

  constructor(
    private readonly url: string,
    private readonly calls: Calls,
    private readonly ports: BusPorts,
  ) {
    this.inbox = createInbox(`_INBOX.${ports.service}`);
    this.lines.add({ wireName: `${this.inbox}.*`, take: (message) => this.replied(message) });
  }

  connect(): Promise<void> {
    return (this.dialing ??= this.dial(false));
  }

  async close(): Promise<void> {
    this.closing = true;
    const { connection, connected } = this;
    this.connected = false;
    if (!connection || connection.isClosed()) return;
    if (connected) await bounded(connection.flush(), FLUSH_MS);
    await bounded(connection.close(), FLUSH_MS);
  }

  async settled(): Promise<void> {
    if (this.connection && this.connected) await bounded(this.connection.flush(), FLUSH_MS);
  }

  stats() {
    return { connected: this.connected, version: this.connection?.info?.version ?? null };
  }

  /** Text, always: what comes back to `request` and `respond` is no object. */
  carry(value: object): string {
    return JSON.stringify(value);
  }

  request(wireName: string, text: string, callId: number): void {
    this.live().publish(wireName, text, { reply: `${this.inbox}.${callId}` });
  }

  publish(wireName: string, text: string): void {
    this.live().publish(wireName, text);
  }

  serve(wireName: string, group: string, handle: RequestHandler): () => Promise<void> {
    const take = (message: Msg) => {
      if (message.reply) handle(message.string(), (carried) => this.respond(message, carried as string));
      else this.ports.counts.malformed++;
    };
    const line = this.add({ wireName, group, take });
    return async () => {
      this.lines.delete(line);
      if (line.subscription?.isClosed() !== false) return;
      if (this.connected) await bounded(line.subscription.drain(), FLUSH_MS);
      else line.subscription.unsubscribe();
    };
  }

  listen(wireName: string, hear: (text: string) => void): () => void {
    const line = this.add({ wireName, take: (message) => hear(message.string()) });
    return () => {
      this.lines.delete(line);
      line.subscription?.unsubscribe();
    };
  }

  /** While it is down nothing is buffered: an order must not run long after its sender was told that it did not. */
  private live(): NatsConnection {
    if (!this.connection || !this.connected) throw busDown();
    return this.connection;
  }

  private respond(message: Msg, text: string): void {
    // The caller has been refused already when this connection is down, and it reads no late reply.
    if (this.connected) message.respond(text);
  }

  private replied(message: Msg): void {
    const callId = Number(message.subject.slice(this.inbox.length + 1));
    const nobody = message.data.length === 0 && message.headers?.code === 503;
    if (nobody) this.calls.settleNobody(callId);
    else this.calls.settle(callId, message.string());
  }

  private add(line: Line): Line {
    this.lines.add(line);
    if (this.connection && !this.connection.isClosed()) this.subscribe(this.connection, line);
    return line;
  }

  private subscribe(connection: NatsConnection, line: Line): void {
    const callback = (error: Error | null, message: Msg) => {
      if (error) this.ports.onError(error, line.wireName);
      else line.take(message);
    };
    line.subscription = connection.subscribe(line.wireName, { queue: line.group, callback });
  }

  /** At the start a refused user is the operator's mistake and ends it; later it may be a server being set up anew. */
  private async dial(evenIfRefused: boolean): Promise<void> {
    for (let attempt = 0; !this.closing; attempt++) {
      try {
        return this.started(await connect(natsAddress(this.url, this.ports.service)));
      } catch (error) {
        if (error instanceof AuthorizationError && !evenIfRefused) throw error;
        if (attempt % 20 === 0) this.ports.log.warn({ err: error }, 'Waiting for nats-server');
        await pause(REDIAL_MS + Math.random() * REDIAL_MS);
      }
    }
  }

  private async started(connection: NatsConnection): Promise<void> {
    if (this.closing) return connection.close();
    this.connection = connection;
    for (const line of this.lines) this.subscribe(connection, line);
    void this.watch(connection).catch((error) => this.ports.onError(error, 'nats'));
    this.connected = true;
    await this.settled();
    this.ports.log.info({ version: connection.info?.version }, 'Connected to nats-server');
  }

  private async watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) this.noticed(status);
    if (this.closing) return;
    // The client gave up (twice refused, say): dial anew, with every line subscribed again.
    this.lost('closed');
    await this.dial(true);
  }

  private noticed(status: Status): void {
    switch (status.type) {
      case 'disconnect':
      case 'staleConnection':
      case 'close':
        return this.lost(status.type);
      case 'reconnect':
        this.connected = !this.closing;
        return this.ports.log.info({}, 'Connected to nats-server again');
      case 'error':
        return this.refused(status.error);
      default:
    }
  }

  private lost(why: string): void {
    if (this.connected) this.ports.log.warn({ why }, 'The connection to nats-server is lost');
    this.connected = false;
    this.calls.failAll(busDown);
  }

  /** nats-server tells of a forbidden publish only here; whoever waits for its answer would wait in vain. */
  private refused(error: Error): void {
    this.ports.onError(error, 'nats');
    if (error instanceof PermissionViolationError && error.operation === 'publish') {
      this.calls.failSubject(error.subject, error);
    }
  }
}
