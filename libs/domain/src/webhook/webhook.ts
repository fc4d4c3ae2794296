import { type Sealed } from '../action/secret.js';
import { type Decider, type Meta } from '../decider.js';
import { Refusal } from '../refusal.js';
import { type WebhookEvent, type WebhookSettings } from './webhook.events.js';

export interface Webhook {
  status: 'absent' | 'active' | 'disabled' | 'deleted';
  owner: string;
}

export type WebhookCommand =
  | { type: 'CreateWebhook'; meta: Meta; data: WebhookSettings & { secret: Sealed } }
  /** It is told again of everything from this position on, disabled or not. */
  | { type: 'ReplayWebhook'; meta: Meta; data: { any: boolean; from: string } }
  | { type: 'DisableWebhook'; meta: Meta; data: { reason: string } }
  | { type: 'DeleteWebhook'; meta: Meta; data: { any: boolean } };

/** Somebody's subscription to events: how far it has been told is a row of the scheduler's, what people did with it is here. */
export const webhook: Decider<Webhook, WebhookCommand, WebhookEvent> = {
  category: 'webhook',
  initial: { status: 'absent', owner: '' },
  decide(state, { type, meta, data }) {
    const { now: at, actor: by } = meta;
    switch (type) {
      case 'CreateWebhook':
        return state.status === 'absent' ? [{ type: 'WebhookCreated', data: { ...data, owner: by, by, at } }] : [];
      case 'DisableWebhook':
        return state.status === 'active' ? [{ type: 'WebhookDisabled', data: { reason: data.reason, at } }] : [];
      case 'ReplayWebhook':
        mustBeThere(state, by, data.any);
        return [{ type: 'WebhookReplayed', data: { from: data.from, by, at } }];
      case 'DeleteWebhook':
        mustBeThere(state, by, data.any);
        return [{ type: 'WebhookDeleted', data: { by, at } }];
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'WebhookCreated':
        return { status: 'active', owner: event.data.owner };
      case 'WebhookReplayed':
        return { ...state, status: 'active' };
      case 'WebhookDisabled':
        return { ...state, status: 'disabled' };
      case 'WebhookDeleted':
        return { ...state, status: 'deleted' };
      default:
        return state;
    }
  },
};

function mustBeThere({ status, owner }: Webhook, actor: string, any: boolean): void {
  if (status === 'absent' || status === 'deleted' || !(any || owner === actor)) throw noSuchWebhook();
}

export const noSuchWebhook = () => new Refusal('not-found', 'WEBHOOK_NOT_FOUND', 'No such webhook');
