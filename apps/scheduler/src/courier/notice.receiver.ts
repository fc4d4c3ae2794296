import {
  asksFor,
  derivedId,
  notification,
  notificationId,
  streamParts,
  urgencyOf,
  type Notified,
  type RunRequested,
  type Urgency,
} from '#domain';
import { handle, type Head, type StoredEvent } from '#ledger';
import { type Context, problemOf, systemMeta } from '#service';
import { birthsOf, streamOf } from './births.js';
import { type Receiver, type Told } from './line.js';

export interface Message {
  title: string;
  text: string;
  urgency: Urgency;
  tags: string[];
}

/** A way to reach people. `send` answers what the other side said, and throws when it did not take the message. */
export interface Channel {
  readonly name: string;
  send(message: Message, signal: AbortSignal): Promise<string>;
}

const kinds: Record<string, Notified> = {
  RunStarted: 'start',
  RunSucceeded: 'completion',
  RunFailed: 'error',
  RunTimedOut: 'error',
  RunLost: 'error',
};
const titles: Record<Notified, string> = { start: 'Task Started', completion: 'Task Complete', error: 'Task Failed' };
const tags: Record<Notified, string> = { start: 'arrow_forward', completion: 'check_mark', error: 'rotating_light' };

/** News of yesterday is none. */
const patience = 3_600_000;

/** Tells people of runs whose policies ask for it; how that went is an event of its own. */
export class NoticeReceiver implements Receiver {
  readonly id: string;
  readonly types = Object.keys(kinds);

  constructor(
    private readonly context: Context,
    private readonly channel: Channel,
  ) {
    this.id = derivedId('channel', channel.name);
  }

  async wanted(heads: readonly Head[]): Promise<readonly Head[]> {
    const births = await birthsOf(this.context.pool, heads);
    return heads.filter((head) => {
      const notify = births.get(streamOf(head))?.notify;
      return notify ? asksFor({ notify }, kinds[head.type]!) : false;
    });
  }

  async tell(event: StoredEvent, _delivery: string, signal: AbortSignal): Promise<Told | null> {
    const { ledger } = this.context;
    const before = await ledger.read(`notification-${this.noticeOf(event)}`);
    const history = await ledger.read(event.stream);
    const isRetried = history[event.version]?.type === 'RunRetryScheduled';
    if (before.length > 0 || isRetried) return null;
    try {
      return { ok: true, answer: await this.channel.send(messageOf(event, birthIn(history)), signal) };
    } catch (error) {
      if (error instanceof Unsent) return { ok: false, answer: error.message, isFinal: error.isFinal };
      return { ok: false, answer: problemOf(error) };
    }
  }

  isTooLate(event: StoredEvent): boolean {
    return Date.now() - Date.parse(event.meta.at) >= patience;
  }

  async settle(event: StoredEvent, { ok, answer }: Told, attempts: number): Promise<void> {
    const { ledger } = this.context;
    const { id: run } = streamParts(event.stream);
    const { process, owner: asker } = birthIn(await ledger.read(event.stream));
    const owner = (process && (await this.ownerOf(process.id))) ?? asker;
    const title = titles[kinds[event.type]!];
    const of = { run, process: process?.id ?? null, owner, channel: this.channel.name, title };
    const id = this.noticeOf(event);
    const meta = systemMeta(derivedId('notification', id), event.meta.correlationId, event.id);
    const order = { type: 'RecordNotification' as const, meta, data: { ...of, attempts, answer, sent: ok } };
    await handle(ledger, notification, id, order);
  }

  /** It is told in his log, whoever asked for the run. */
  private async ownerOf(process: string): Promise<string | null> {
    const stream = `process-${process}`;
    const births = await birthsOf(this.context.pool, [{ stream }]);
    return births.get(stream)?.owner ?? null;
  }

  private noticeOf({ stream, type }: StoredEvent): string {
    return notificationId(streamParts(stream).id, kinds[type]!, this.channel.name);
  }
}

/** The other side did answer, and did not take it; `isFinal`: nor would it later. */
export class Unsent extends Error {
  constructor(
    answer: string,
    readonly isFinal: boolean,
  ) {
    super(answer);
  }
}

function birthIn([birth]: StoredEvent[]): RunRequested {
  return birth!.data as RunRequested;
}

function messageOf({ type, data }: StoredEvent, { name, priority }: RunRequested): Message {
  const what = kinds[type]!;
  const { reason } = data as { reason?: string };
  const said = {
    start: 'has started',
    completion: 'has ended well',
    error: `has failed: ${reason ?? 'no reason given'}`,
  };
  return { title: titles[what], text: `${name} ${said[what]}`, urgency: urgencyOf(priority, what), tags: [tags[what]] };
}
