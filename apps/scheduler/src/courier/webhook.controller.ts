import { Controller } from '@nestjs/common';
import {
  Answers,
  subjects,
  type Committed,
  type DeliveryCard,
  type OnOne,
  type Page,
  type Paged,
  type Request,
  type WebhookCard,
} from '#bus';
import {
  isId,
  noSuchWebhook,
  Refusal,
  webhook,
  type SealedSecret,
  type WebhookEvent,
  type WebhookSettings,
} from '#domain';
import { handle, repeated, withStore } from '#ledger';
import { committed, Context, metaOf, Outbound } from '#service';
import { deliveriesOf, webhookOf, webhooksOf } from './webhook.rows.js';

const mostOfOne = 50;

@Controller()
export class WebhookController {
  private readonly outbound: Outbound;

  constructor(private readonly context: Context) {
    this.outbound = new Outbound(context.config.RUNLEDGER_OUTBOUND_ALLOW);
  }

  @Answers(subjects.createWebhook)
  async create({
    data: { id, secret, ...settings },
    meta: call,
  }: Request<WebhookSettings & { id: string; secret: SealedSecret }>): Promise<Committed<WebhookEvent>> {
    const { ledger } = this.context;
    const meta = metaOf(call);
    const before = call.idempotency && (await repeated<WebhookEvent>(ledger, meta));
    if (before) return committed(before);
    await this.check(settings, meta.actor);
    const order = { type: 'CreateWebhook' as const, meta, data: { ...settings, secret: { sealed: secret.id } } };
    const created = { ...settings, owner: meta.actor, secret: secret.id, at: meta.now };
    const rows = { webhook_set: [{ webhook: id, created }], secret_add: [{ holder: id, ...secret }] };
    return committed(await handle(ledger, webhook, id, order, { creating: true, alongside: () => rows }));
  }

  @Answers(subjects.deleteWebhook)
  async delete({ data: { id, any }, meta }: Request<OnOne>): Promise<Committed<WebhookEvent>> {
    const order = { type: 'DeleteWebhook' as const, meta: metaOf(meta), data: { any } };
    const rows = { webhook_set: [{ webhook: id, deleted: true }], secret_drop: [{ process: id }] };
    return committed(await handle(this.context.ledger, webhook, id, order, { alongside: () => rows }));
  }

  @Answers(subjects.replayWebhook)
  async replay({
    data: { id, any, from },
    meta,
  }: Request<OnOne & { from: string }>): Promise<WebhookCard & { position: string }> {
    const { ledger, pool } = this.context;
    const order = { type: 'ReplayWebhook' as const, meta: metaOf(meta), data: { any, from } };
    const alongside = () => ({ webhook_set: [{ webhook: id, from }] });
    const { position } = await handle(ledger, webhook, id, order, { alongside });
    const card = await withStore(() => webhookOf(pool, id));
    if (!card) throw noSuchWebhook();
    return { ...card, position };
  }

  @Answers(subjects.listWebhooks)
  list({ data }: Request<Paged & { owner?: string }>): Promise<Page<WebhookCard>> {
    return withStore(() => webhooksOf(this.context.pool, data));
  }

  @Answers(subjects.listDeliveries)
  async deliveries({ data, meta: { actor } }: Request<Paged & OnOne>): Promise<Page<DeliveryCard>> {
    const { pool } = this.context;
    const card = isId(data.id) ? await withStore(() => webhookOf(pool, data.id)) : null;
    if (!card || !(data.any || card.owner === actor)) throw noSuchWebhook();
    return withStore(() => deliveriesOf(pool, data));
  }

  private async check({ url }: WebhookSettings, owner: string): Promise<void> {
    const { hostname, port, protocol } = new URL(url);
    if (this.outbound.isClosed(hostname, Number(port) || (protocol === 'https:' ? 443 : 80))) {
      const message = 'requests to this address are not allowed';
      const issues = [{ code: 'custom', path: ['url'], message }];
      throw new Refusal('malformed', 'OUTBOUND_REFUSED', `url: ${message}`, { issues });
    }
    const text = 'select from webhook where owner = $1';
    const { rowCount } = await withStore(() => this.context.pool.query(text, [owner]));
    if ((rowCount ?? 0) < mostOfOne) return;
    throw new Refusal('rejected', 'TOO_MANY_WEBHOOKS', `There are ${mostOfOne} webhooks of yours: delete one first`);
  }
}
