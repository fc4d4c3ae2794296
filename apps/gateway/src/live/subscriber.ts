import { type Socket } from 'socket.io';
import { type EventMessage, type Session } from '#bus';
import { may } from '#domain';
import { type EventFeed } from './event-feed.js';
import { type OutputFeeds } from './output-feeds.js';
import { lineOf } from './socket-line.js';

interface Subscribing {
  room: string;
  after?: string | undefined;
  output?: { attempt: number; seq: number } | undefined;
}

/** One socket and the rooms that it is in. */
export class Subscriber {
  private readonly rooms = new Map<string, (() => void)[]>();
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly socket: Socket,
    readonly token: string,
    readonly session: Session,
    private readonly events: EventFeed,
    private readonly outputs: OutputFeeds,
  ) {}

  /** Nothing is missed from `after` on; without it, from now on. */
  subscribe(wanted: Subscribing): Promise<{ ok: true; position: string }> {
    return this.inTurn(() => this.enter(wanted));
  }

  unsubscribe(room: string): Promise<{ ok: true }> {
    return this.inTurn(() => {
      this.leave(room);
      return { ok: true };
    });
  }

  leaveAll(): void {
    for (const room of [...this.rooms.keys()]) this.leave(room);
  }

  /** One after another: two subscriptions to one room under way at once would leave one behind for good. */
  private inTurn<T>(work: () => Promise<T> | T): Promise<T> {
    const mine = this.last.then(work);
    this.last = mine.catch(() => undefined);
    return mine;
  }

  private async enter({ room, after, output }: Subscribing): Promise<{ ok: true; position: string }> {
    this.leave(room);
    const { user } = this.session;
    const wants = await this.events.interest(room, {
      id: user.id,
      any: may(user.role, 'any:read'),
      all: may(user.role, 'events:read'),
    });
    const tell = (event: EventMessage) => this.socket.emit('event', event);
    const { position, leave } = await this.events.join(wants, after, tell);
    const leaves = [leave];
    if (wants.kind === 'run') {
      const joined = this.outputs.join(wants.id, output ?? { attempt: 0, seq: 0 }, lineOf(this.socket));
      leaves.push(() => joined.leave());
    }
    if (this.socket.connected) this.rooms.set(room, leaves);
    else leaves.forEach((each) => each());
    return { ok: true, position };
  }

  private leave(room: string): void {
    this.rooms.get(room)?.forEach((leave) => leave());
    this.rooms.delete(room);
  }
}
