import { createHmac } from 'node:crypto';
import { derivedId, fold, may, newId, user, webhook, type User, type UserEvent } from '#domain';
import { handle, type Head, type StoredEvent } from '#ledger';
import { type Context, type Outbound, post, type Posted, problemOf, systemMeta } from '#service';
import { type Birth, birthsOf, streamOf } from './births.js';
import { type Receiver, type Told } from './line.js';
import { Displaced } from './place.js';

/** A subscription as its row has it. */
export interface WebhookRow {
  id: string;
  owner: string;
  url: string;
  types: string[];
  processes: string[];
  secret: string;
  round: number;
}

/** Then somebody has to look. */
const patience = 24 * 3_600_000;
const known = 1_000;
export const secretPlace = 'webhook';

export const signatureOf = (secret: string, timestamp: string, body: string): string =>
  `sha256=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;

/** Tells an address of somebody's choice what he may see, signed. */
export class WebhookReceiver implements Receiver {
  readonly id: string;
  readonly types: readonly string[];
  private secret: string | null = null;
  private standing: { of: User; at: number } | null = null;
  /** What the page in hand was picked by. */
  private pickedFor: User | null = null;

  constructor(
    private readonly context: Context,
    private readonly outbound: Outbound,
    private readonly row: WebhookRow,
  ) {
    this.id = row.id;
    this.types = row.types;
  }

  async wanted(heads: readonly Head[]): Promise<readonly Head[]> {
    const { processes } = this.row;
    if (heads.length === 0) return heads;
    const { role } = (this.pickedFor = await this.ownerNow());
    if (may(role, 'any:write') && processes.length === 0) return heads;
    const births = await birthsOf(this.context.pool, heads);
    return heads.filter((head) => {
      const birth = births.get(streamOf(head));
      if (!birth || !(may(role, 'any:write') || this.isOwn(head, birth))) return false;
      return processes.length === 0 || (birth.process !== null && processes.includes(birth.process));
    });
  }

  /** What he does with webhooks is no news for them. */
  private isOwn({ stream }: Head, { owner }: Birth): boolean {
    return owner === this.row.owner && !stream.startsWith('webhook-');
  }

  async tell(event: StoredEvent, delivery: string, signal: AbortSignal): Promise<Told | null> {
    const { role, status } = await this.ownerNow();
    if (status === 'inactive' || (status === 'active' && !may(role, 'webhooks:manage'))) {
      return this.disable(event, 'its owner may not have webhooks any more');
    }
    // The page was picked for somebody who could see more, or less.
    if (role !== this.pickedFor?.role) throw new Displaced();
    try {
      const headers = { 'x-runledger-delivery': delivery };
      const answer = await this.send(JSON.stringify(event), headers, signal);
      const ok = answer.status >= 200 && answer.status < 300;
      return { ok, answer: `${answer.status} ${answer.body}`.trim() };
    } catch (error) {
      return { ok: false, answer: problemOf(error) };
    }
  }

  isTooLate(_event: StoredEvent, since: Date): boolean {
    return Date.now() - since.getTime() >= patience;
  }

  async settle(event: StoredEvent, { ok, answer }: Told): Promise<void> {
    if (!ok) await this.disable(event, `not delivered for 24 hours: ${answer}`);
  }

  private async send(body: string, more: Record<string, string>, signal: AbortSignal): Promise<Posted> {
    const secret = (this.secret ??= await this.openSecret());
    const timestamp = String(Math.floor(Date.now() / 1_000));
    const headers = {
      ...more,
      'content-type': 'application/json',
      'x-runledger-timestamp': timestamp,
      'x-runledger-signature': signatureOf(secret, timestamp, body),
    };
    return post(this.outbound, new URL(this.row.url), { headers, body, signal });
  }

  private async disable(event: StoredEvent, reason: string): Promise<never> {
    const { id, round } = this.row;
    const meta = systemMeta(derivedId('webhook-disabled', id, String(round), event.position), newId(), event.id);
    const order = { type: 'DisableWebhook' as const, meta, data: { reason } };
    const alongside = () => ({ webhook_set: [{ webhook: id, disabled: reason }] });
    await handle(this.context.ledger, webhook, id, order, { alongside });
    this.context.log.warn({ webhook: id, reason }, 'a webhook is disabled');
    throw new Displaced();
  }

  /** Looked up once a second at most. */
  private async ownerNow(): Promise<User> {
    if (this.standing && performance.now() - this.standing.at < known) return this.standing.of;
    const events = await this.context.ledger.read(`user-${this.row.owner}`);
    this.standing = { of: fold(user, events as unknown as UserEvent[]), at: performance.now() };
    return this.standing.of;
  }

  private async openSecret(): Promise<string> {
    const { env } = await this.context.secrets.open({ [secretPlace]: { sealed: this.row.secret } });
    return env[secretPlace]!;
  }
}
