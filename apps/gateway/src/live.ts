import { type Server as HttpServer } from 'node:http';
import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { Server, type Socket } from 'socket.io';
import { type z } from 'zod';
import { newId, Refusal } from '#domain';
import { Context } from '#service';
import { EventFeed } from './live/event-feed.js';
import { socketMessages, type subscribeMessage } from './live/live.shapes.js';
import { OutputFeeds } from './live/output-feeds.js';
import { Rechecks } from './live/rechecks.js';
import { Subscriber } from './live/subscriber.js';
import { isForeign } from './guard.js';
import { TokenCheck } from './token-check.js';

export type Subscription = z.infer<typeof subscribeMessage>;
type Acknowledge = (answer: object) => void;
interface Admitted {
  subscriber: Subscriber;
}

/** Whoever asks for another protocol elsewhere has this long to be answered. */
const answerWithin = 5_000;
const refused = (code: string, message: string, correlationId: string) => ({ error: { code, message, correlationId } });

/** The socket.io server: who is signed in watches what he may see, from the position that he names. */
@Injectable()
export class Live implements BeforeApplicationShutdown {
  private readonly servers: Server[] = [];
  private readonly subscribers = new Set<Subscriber>();
  private readonly rechecks: Rechecks;

  constructor(
    private readonly context: Context,
    private readonly tokens: TokenCheck,
    private readonly events: EventFeed,
    private readonly outputs: OutputFeeds,
  ) {
    this.rechecks = new Rechecks(context, tokens);
  }

  attach(http: HttpServer): void {
    const allowed = this.context.config.RUNLEDGER_ALLOWED_ORIGINS;
    const server = new Server(http, {
      path: '/socket.io',
      serveClient: false,
      maxHttpBufferSize: 65_536,
      destroyUpgradeTimeout: answerWithin,
      cors: allowed.length > 0 ? { origin: allowed, credentials: true } : { origin: false },
      allowRequest: (request, done) => {
        const foreign = isForeign({ headers: request.headers }, allowed);
        done(foreign ? 'Requests from another origin are refused' : null, !foreign);
      },
    });
    server.use((socket, next) => {
      this.admit(socket).then(
        (subscriber) => {
          (socket.data as Admitted).subscriber = subscriber;
          next();
        },
        () => next(new Error('Unauthorized')),
      );
    });
    server.on('connection', (socket) => this.connected(socket));
    this.servers.push(server);
  }

  /** Before the HTTP server closes: it waits for what is still connected. */
  beforeApplicationShutdown(): void {
    this.rechecks.stop();
    this.subscribers.forEach((subscriber) => subscriber.leaveAll());
    for (const server of this.servers) {
      server.disconnectSockets(true);
      server.engine.close();
    }
  }

  private async admit(socket: Socket): Promise<Subscriber> {
    const { token } = socket.handshake.auth as { token?: unknown };
    const given = typeof token === 'string' ? token : this.tokens.fromCookies(socket.handshake.headers.cookie);
    if (!given) throw new Refusal('unauthenticated', 'UNAUTHENTICATED', 'Unauthorized');
    const session = await this.tokens.check(given);
    return new Subscriber(socket, given, session, this.events, this.outputs);
  }

  private connected(socket: Socket): void {
    const { subscriber } = socket.data as Admitted;
    this.subscribers.add(subscriber);
    this.rechecks.add(subscriber, () => socket.disconnect(true));
    socket.on('disconnect', () => {
      subscriber.leaveAll();
      this.rechecks.delete(subscriber);
      this.subscribers.delete(subscriber);
    });
    socket.on('error', (err) => this.context.log.debug({ err }, 'a socket failed'));
    const answer = (message: keyof typeof socketMessages, work: (body: Subscription) => Promise<object>) => {
      socket.on(message, (body: unknown, acknowledge?: unknown) => {
        const reply: Acknowledge = typeof acknowledge === 'function' ? (acknowledge as Acknowledge) : () => undefined;
        void this.answered(socketMessages[message].shape, body, work).then(reply);
      });
    };
    answer('subscribe', (body) => subscriber.subscribe(body));
    answer('unsubscribe', (body) => subscriber.unsubscribe(body.room));
    socket.onAny((message: string, ...rest: unknown[]) => {
      const acknowledge = rest.at(-1);
      if (message in socketMessages || typeof acknowledge !== 'function') return;
      (acknowledge as Acknowledge)(refused('UNKNOWN_MESSAGE', `Unknown message: ${message.slice(0, 100)}`, newId()));
    });
  }

  private async answered(
    shape: z.ZodType,
    body: unknown,
    work: (body: Subscription) => Promise<object>,
  ): Promise<object> {
    const correlationId = newId();
    const parsed = shape.safeParse(body);
    if (!parsed.success) return refused('MALFORMED', parsed.error.issues[0]?.message ?? 'malformed', correlationId);
    try {
      return await work(parsed.data as Subscription);
    } catch (error) {
      if (error instanceof Refusal) return refused(error.code, error.message, correlationId);
      this.context.log.error({ err: error, correlationId }, 'a socket message failed');
      return refused('INTERNAL_ERROR', 'Internal error', correlationId);
    }
  }
}
