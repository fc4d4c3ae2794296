import { type Socket } from 'socket.io';
import { type EventMessage, type Session } from '#bus';
import { may } from '#domain';
import { type EventFeed } from './event-feed.js';
import { type OutputFeeds } from './output-feeds.js';

interface Subscribing {
  room: string;
  after?: string | undefined;
  output?: { attempt: number; seq: number } | undefined;
}

/** One socket and the rooms that it is in. */
export class Subscriber {
  private readonly rooms = new Map<string, (() => void)[]>();

  constructor(
    private readonly socket: Socket,
    readonly token: string,
    readonly session: Session,
    private readonly events: EventFeed,
    private readonly outputs: OutputFeeds,
  ) {}

  /** Nothing is missed from `after` on; without it, from now on. */
  async subscribe({ room, after, output }: Subscribing): Promise<{ ok: true; position: string }> {
    this.unsubscribe(room);
    const { user } = this.session;
    const wants = await this.events.interest(room, {
      id: user.id,
      any: may(user.role, 'any:read'),
      all: may(user.role, 'events:read'),
    });
    const tell = (event: EventMessage) => this.socket.emit('event', event);
    const { position, leave } = await this.events.join(wants, after, tell);
    const leaves = [leave];
    if (wants.kind === 'run') leaves.push(this.outputs.join(wants.id, output ?? { attempt: 0, seq: 0 }, this.socket));
    if (this.socket.connected) this.rooms.set(room, leaves);
    else leaves.forEach((each) => each());
    return { ok: true, position };
  }

  unsubscribe(room: string): { ok: true } {
    this.rooms.get(room)?.forEach((leave) => leave());
    this.rooms.delete(room);
    return { ok: true };
  }

  leaveAll(): void {
    for (const room of [...this.rooms.keys()]) this.unsubscribe(room);
  }
}
