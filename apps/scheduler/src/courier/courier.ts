import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { bells, type Flushed } from '#bus';
import { Nap } from '#ledger';
import { Context, Outbound } from '#service';
import { Leadership } from './leadership.js';
import { Line, type Receiver } from './line.js';
import { Mail } from './mail.js';
import { NoticeReceiver } from './notice.receiver.js';
import { Ntfy } from './ntfy.js';
import { WebhookReceiver, type WebhookRow } from './webhook.receiver.js';

const lock = 7_265_005;
const look = 1_000;
/** How long a lost bell may keep the first webhook of all waiting. */
const lookForFirst = 5_000;

/**
 * Tells webhooks and the channels of notifications what happens: a line each, so that none waits for another. Of all
 * schedulers one does it, as long as it lives. Where nobody is to be told it asks the database every five seconds, and no more.
 */
@Injectable()
export class Courier implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly lines = new Map<string, Line>();
  private readonly leadership: Leadership;
  private readonly outbound: Outbound;
  private channels: NoticeReceiver[] = [];
  private newest = 0n;
  private stopping = false;
  private rung = false;
  private readonly nap = new Nap();
  private unlisten = () => {};
  private loop: Promise<void> = Promise.resolve();

  constructor(private readonly context: Context) {
    const { config, log } = context;
    this.outbound = new Outbound(config.RUNLEDGER_OUTBOUND_ALLOW);
    this.leadership = new Leadership(config.DATABASE_URL, lock, log, () => void this.dismiss());
  }

  onApplicationBootstrap(): void {
    this.channels = this.channelsOf();
    this.unlisten = this.context.bus.listen(bells.flushed, (flushed) => this.hear(flushed));
    this.loop = this.run();
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping = true;
    this.unlisten();
    this.ring();
    await this.loop;
    await this.dismiss();
    await this.leadership.release();
  }

  private channelsOf(): NoticeReceiver[] {
    const { config } = this.context;
    const { RUNLEDGER_NTFY_URL: ntfy, RUNLEDGER_SMTP_URL: smtp } = config;
    const letter = { from: config.RUNLEDGER_MAIL_FROM ?? '', to: config.RUNLEDGER_MAIL_TO ?? '' };
    return [
      ...(ntfy ? [new Ntfy(this.outbound, ntfy, config.RUNLEDGER_NTFY_TOKEN)] : []),
      ...(smtp ? [new Mail(this.outbound, smtp, letter)] : []),
    ].map((channel) => new NoticeReceiver(this.context, channel));
  }

  private hear({ last, types }: Flushed): void {
    if (types.some((type) => type.startsWith('Webhook'))) this.ring();
    if (this.lines.size > 0) this.reach(BigInt(last));
  }

  private ring(): void {
    this.rung = true;
    this.nap.wake();
  }

  private reach(position: bigint): void {
    if (position <= this.newest) return;
    this.newest = position;
    for (const line of this.lines.values()) line.wake();
  }

  private async run(): Promise<void> {
    await this.addChannels();
    while (!this.stopping) {
      let wait = look;
      this.rung = false;
      try {
        wait = await this.look();
      } catch (err) {
        this.context.log.warn({ err }, 'deliveries wait for the database');
        await this.dismiss();
      }
      if (!this.rung) await this.nap.take(wait);
    }
  }

  /** Answers how long to wait before the next look. */
  private async look(): Promise<number> {
    const receivers = await this.receivers();
    if (receivers.size === 0) {
      await this.dismiss();
      await this.leadership.release();
      return lookForFirst;
    }
    const gone = [...this.lines].filter(([key, line]) => line.hasEnded || !receivers.has(key));
    for (const [key] of gone) this.lines.delete(key);
    await Promise.all(gone.map(([, line]) => line.stop()));
    const { ledger, log } = this.context;
    this.reach(BigInt(await ledger.head()));
    // Last: nothing is waited for between this and the lines that stand on it.
    if (!(await this.leadership.hold())) {
      await this.dismiss();
      return look;
    }
    if (this.lines.size === 0) log.info({ subscriptions: receivers.size }, 'deliveries are made here');
    for (const [key, make] of receivers) {
      if (!this.lines.has(key)) this.lines.set(key, new Line({ ledger, log, newest: () => this.newest }, make()));
    }
    return look;
  }

  /** By what tells one from another, a subscription from itself after a replay included. */
  private async receivers(): Promise<Map<string, () => Receiver>> {
    const text = `select w.id, owner, url, types, processes, secret, round from webhook w join subscription using (id)
      where disabled is null`;
    const { rows } = await this.context.pool.query<WebhookRow>({ name: 'webhooks-active', text });
    return new Map<string, () => Receiver>([
      ...this.channels.map((channel) => [channel.id, () => channel] as const),
      ...rows.map(
        (row) => [`${row.id} ${row.round}`, () => new WebhookReceiver(this.context, this.outbound, row)] as const,
      ),
    ]);
  }

  /** A channel that is new is told of what comes from now on. */
  private async addChannels(): Promise<void> {
    const { pool, log } = this.context;
    const text = `insert into subscription (id, position)
      select id, coalesce((select last from block order by first desc limit 1), 0) from unnest($1::uuid[]) id on conflict do nothing`;
    while (this.channels.length > 0 && !this.stopping) {
      try {
        return void (await pool.query(text, [this.channels.map(({ id }) => id)]));
      } catch (err) {
        log.warn({ err }, 'notifications wait for the database');
        await this.nap.take(look);
      }
    }
  }

  private async dismiss(): Promise<void> {
    const lines = [...this.lines.values()];
    this.lines.clear();
    await Promise.all(lines.map((line) => line.stop()));
  }
}
