import { type IncomingMessage, type Server as HttpServer } from 'node:http';
import { type Duplex } from 'node:stream';
import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { WebSocketServer, type WebSocket } from 'ws';
import { type RungOutput, type Session } from '#bus';
import { newId, Refusal } from '#domain';
import { Context } from '#service';
import { refuseUpgrade } from '../../client-error.js';
import { isForeign } from '../../guard.js';
import { type Group } from '../../live/line.js';
import { Rechecks } from '../../live/rechecks.js';
import { pathOf } from '../../refusals.js';
import { TokenCheck, unauthenticated } from '../../token-check.js';
import { idsOf } from './frames.js';
import { type FrameOf } from './frames.shapes.js';
import { TaskFeed } from './task-feed.js';
import { TaskSocket } from './task-socket.js';

interface Admitted {
  token: string;
  session: Session;
}

const largestFrame = 65_536;
const pingEvery = 30_000;
/** Of a socket's close: why. */
const codes = { leaving: 1001, policy: 1008, failed: 1011 };

/** `/ws`: plain WebSockets of whoever is signed in, each told of his own tasks. */
@Injectable()
export class TaskSockets implements BeforeApplicationShutdown {
  private readonly server = new WebSocketServer({
    ...{ noServer: true, clientTracking: false, perMessageDeflate: false },
    maxPayload: largestFrame,
  });
  private readonly sockets = new Map<string, TaskSocket>();
  private readonly rechecks: Rechecks;
  private readonly timer: NodeJS.Timeout;
  private readonly group: Group = {
    tell: (ids, piece) => this.output(ids, piece),
    show: (ids, piece) => this.output(ids, piece, true),
  };

  constructor(
    private readonly context: Context,
    private readonly tokens: TokenCheck,
    private readonly feed: TaskFeed,
  ) {
    this.rechecks = new Rechecks(context, tokens);
    this.timer = setInterval(() => this.sockets.forEach((socket) => socket.ping()), pingEvery);
    this.timer.unref();
    this.server.on('wsClientError', (error, socket) =>
      refuseUpgrade(socket, '/ws', new Refusal('rejected', 'BAD_HANDSHAKE', error.message)),
    );
  }

  attach(http: HttpServer): void {
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (!/^\/ws\/?$/.test(pathOf(request.url ?? ''))) return;
      socket.on('error', (err) => this.context.log.debug({ err }, 'a handshake failed'));
      this.admit(request).then(
        (admitted) => this.server.handleUpgrade(request, socket, head, (each) => this.connected(each, admitted)),
        (error: unknown) => refuseUpgrade(socket, '/ws', this.refusalOf(error)),
      );
    });
  }

  beforeApplicationShutdown(): void {
    this.rechecks.stop();
    clearInterval(this.timer);
    this.sockets.forEach((socket) => socket.end(codes.leaving, 'The server is stopping'));
    this.server.close();
  }

  private async admit(request: IncomingMessage): Promise<Admitted> {
    const { headers, url = '' } = request;
    if (isForeign({ headers }, this.context.config.RUNLEDGER_ALLOWED_ORIGINS)) {
      throw new Refusal('forbidden', 'FOREIGN_ORIGIN', 'Requests from another origin are refused');
    }
    const named = new URLSearchParams(url.split('?', 2)[1] ?? '').get('token');
    const [, bearer] = /^Bearer (\S+)$/i.exec(headers.authorization ?? '') ?? [];
    const token = named ?? bearer ?? this.tokens.fromCookies(headers.cookie);
    if (!token) throw unauthenticated();
    return { token, session: await this.tokens.check(token) };
  }

  private refusalOf(error: unknown): Refusal {
    if (error instanceof Refusal) return error;
    this.context.log.error({ err: error }, 'a handshake failed');
    return new Refusal('unavailable', 'UNAVAILABLE', 'Try again');
  }

  private connected(each: WebSocket, { token, session }: Admitted): void {
    // What it says is heard once it is welcome.
    each.pause();
    const socket = new TaskSocket(each, token, session, this.group);
    this.sockets.set(socket.id, socket);
    this.rechecks.add(socket, () => socket.end(codes.policy, 'The session has ended'));
    each.on('error', (err) => this.context.log.debug({ err }, 'a socket failed'));
    each.on('close', () => {
      socket.gone = true;
      this.sockets.delete(socket.id);
      this.rechecks.delete(socket);
      this.feed.leave(socket);
    });
    const data = { message: `Connected as ${session.user.username}`, client_count: this.sockets.size };
    const welcome = () => {
      socket.tell({ type: 'connected', data, timestamp: new Date().toISOString() });
      each.resume();
    };
    this.feed.join(socket, welcome).catch((err: unknown) => {
      this.context.log.warn({ err, correlationId: newId() }, 'a socket could not join');
      socket.end(codes.failed, 'Try again');
    });
  }

  /** Written once for all who are told. */
  private output(ids: string[], piece: RungOutput, ifRoom = false): void {
    const { run, text = '', stream, attempt, seq, live } = piece;
    const words = { output: text, line: text, content: text };
    const of = idsOf(run, this.feed.taskOf(run) ?? '');
    const frame: FrameOf<'terminal_output'> = {
      type: 'terminal_output',
      data: { ...of, ...words, stream, attempt, seq, ...(live ? { live } : {}) },
      timestamp: new Date().toISOString(),
    };
    const line = JSON.stringify(frame);
    for (const id of ids) {
      const socket = this.sockets.get(id);
      if (socket && !(ifRoom && socket.isFull())) socket.send(line);
    }
  }
}
