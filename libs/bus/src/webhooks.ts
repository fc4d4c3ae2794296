import { type WebhookSettings } from '#domain';

/** `disabled`: why it is told nothing any more. */
export interface WebhookCard extends WebhookSettings {
  id: string;
  owner: string;
  createdAt: string;
  disabled: string | null;
}

/** `position` is the event's. */
export interface DeliveryCard {
  id: string;
  event: string;
  position: string;
  status: 'delivered' | 'pending' | 'failed';
  attempts: number;
  at: string;
  answer: string;
}
