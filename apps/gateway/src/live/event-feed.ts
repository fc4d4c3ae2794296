import { Injectable } from '@nestjs/common';
import { bells, subjects, type EventMessage } from '#bus';
import { newId, Refusal, streamParts } from '#domain';
import { Context } from '#service';

export interface Interest {
  kind: 'events' | 'run' | 'process';
  id: string;
}

interface Asker {
  id: string;
  any: boolean;
  all: boolean;
}

interface Member {
  interest: Interest;
  cursor: bigint;
  gone: boolean;
  tell: (event: EventMessage) => void;
}

const page = 500;
const mostKnown = 20_000;
const poll = 1_000;

/** Reads the ledger once for all sockets of this gateway, after the bell or each second while anybody watches. */
@Injectable()
export class EventFeed {
  private readonly members = new Set<Member>();
  /** Everything up to here has been told to whoever was there. */
  private at = 0n;
  private reading = false;
  private again = false;
  private timer: NodeJS.Timeout | null = null;
  /** Which process a run belongs to, for runs seen lately. */
  private readonly processOf = new Map<string, string | null>();

  constructor(private readonly context: Context) {
    context.bus.listen(bells.flushed, () => this.wake());
  }

  /** What a room's name means, if the asker may see it: else it is not found, as if there were none. */
  async interest(room: string, asker: Asker): Promise<Interest> {
    if (room === 'events') {
      if (!asker.all) throw new Refusal('forbidden', 'FORBIDDEN', 'Your role may not read all events');
      return { kind: 'events', id: '' };
    }
    const [kind, id] = room.split(':') as ['run' | 'process', string];
    const asked = kind === 'run' ? subjects.getRun : subjects.getProcess;
    const { value } = await this.context.bus.send(
      asked as typeof subjects.getRun,
      { id, after: await this.head() },
      meta(),
    );
    if (!value || (!asker.any && value.owner !== asker.id))
      throw new Refusal('not-found', 'ROOM_NOT_FOUND', `No such ${kind}`);
    return { kind, id };
  }

  /** Tells everything after `after`, then what comes; answers where the subscription stands. */
  async join(
    interest: Interest,
    after: string | undefined,
    tell: Member['tell'],
  ): Promise<{ position: string; leave: () => void }> {
    const head = await this.head();
    const member: Member = { interest, cursor: BigInt(after ?? head), gone: false, tell };
    if (this.members.size === 0) this.at = BigInt(head);
    await this.catchUp(member);
    this.members.add(member);
    this.timer ??= setInterval(() => this.wake(), poll);
    this.wake();
    return { position: String(member.cursor), leave: () => this.leave(member) };
  }

  private leave(member: Member): void {
    member.gone = true;
    this.members.delete(member);
    if (this.members.size > 0 || !this.timer) return;
    clearInterval(this.timer);
    this.timer = null;
  }

  /** Reads for one newcomer until he stands where the feed does. */
  private async catchUp(member: Member): Promise<void> {
    const { kind, id } = member.interest;
    if (kind === 'run') {
      for (let more = true; more;) {
        const { items, head } = await this.read(String(member.cursor), page, `run-${id}`);
        items.forEach((event) => this.tell(member, event));
        more = items.length === page;
        // The head was read before the stream: he need not look at what lies before it again.
        if (!more && BigInt(head) > member.cursor) member.cursor = BigInt(head);
      }
      return;
    }
    while (member.cursor < this.at) {
      const { items, scanned } = await this.read(String(member.cursor), page);
      for (const event of items) await this.offer(member, event);
      if (BigInt(scanned) <= member.cursor) return;
      member.cursor = BigInt(scanned);
    }
  }

  private wake(): void {
    if (this.members.size === 0) return;
    if (this.reading) {
      this.again = true;
      return;
    }
    this.reading = true;
    void this.advance();
  }

  private async advance(): Promise<void> {
    try {
      for (let more = true; more;) {
        // Whoever joins during the read may stand before it: he is read to in the next round.
        const members = [...this.members];
        const lowest = members.reduce((low, { cursor }) => (cursor < low ? cursor : low), this.at);
        const { items, scanned, head } = await this.read(String(lowest), page);
        for (const event of items) {
          for (const member of members) await this.offer(member, event);
        }
        const reached = BigInt(scanned);
        for (const member of members) if (member.cursor < reached) member.cursor = reached;
        if (reached > this.at) this.at = reached;
        more = reached < BigInt(head) && reached > lowest;
      }
    } catch (err) {
      this.context.log.warn({ err }, 'sockets are told again later');
    }
    this.reading = false;
    if (this.again) {
      this.again = false;
      this.wake();
    }
  }

  private async offer(member: Member, event: EventMessage): Promise<void> {
    if (member.gone || BigInt(event.position) <= member.cursor) return;
    if (await this.concerns(member.interest, event)) this.tell(member, event);
  }

  private tell(member: Member, event: EventMessage): void {
    const position = BigInt(event.position);
    if (member.gone || position <= member.cursor) return;
    member.cursor = position;
    this.context.log.debug(
      { position: event.position, type: event.type, correlationId: event.meta.correlationId },
      'told a socket',
    );
    member.tell(event);
  }

  private async concerns({ kind, id }: Interest, event: EventMessage): Promise<boolean> {
    if (kind === 'events') return true;
    const { category, id: subject } = streamParts(event.stream);
    if (kind === 'run') return category === 'run' && subject === id;
    if (category === 'process' || category === 'schedule') return subject === id;
    return category === 'run' && (await this.ofProcess(subject, event)) === id;
  }

  private async ofProcess(run: string, { type, data }: EventMessage): Promise<string | null> {
    if (type === 'RunRequested') this.remember(run, (data as { process: { id: string } | null }).process?.id ?? null);
    const known = this.processOf.get(run);
    if (known !== undefined) return known;
    const { value } = await this.context.bus.send(subjects.getRun, { id: run }, meta());
    return this.remember(run, value?.process?.id ?? null);
  }

  private remember(run: string, process: string | null): string | null {
    if (this.processOf.size > mostKnown) this.processOf.clear();
    this.processOf.set(run, process);
    return process;
  }

  private read(after: string, limit: number, stream?: string) {
    return this.context.bus.send(subjects.listEvents, { after, limit, ...(stream ? { stream } : {}) }, meta());
  }

  private async head(): Promise<string> {
    return (await this.read('999999999999999999', 1)).head;
  }
}

const meta = () => ({ actor: 'system', correlationId: newId() });
