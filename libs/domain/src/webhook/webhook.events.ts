import type { Sealed } from '../action/secret.js';

/** What a subscription is told of: events of these types and processes; of each where there are none. */
export interface WebhookSettings {
  url: string;
  types: string[];
  processes: string[];
}

export type WebhookEvent =
  | { type: 'WebhookCreated'; data: WebhookSettings & { secret: Sealed; owner: string; by: string; at: string } }
  | { type: 'WebhookDisabled'; data: { reason: string; at: string } }
  | { type: 'WebhookReplayed'; data: { from: string; by: string; at: string } }
  | { type: 'WebhookDeleted'; data: { by: string; at: string } };
