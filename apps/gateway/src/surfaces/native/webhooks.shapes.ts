import { z } from 'zod';
import { type WebhookCard } from '#bus';
import { type WebhookEvent } from '#domain';

const position = z.string().regex(/^\d{1,18}$/, 'must be a position');
const time = z.iso.datetime({ precision: 3 });
const hasNoCredentials = (url: string) => {
  const parsed = URL.parse(url);
  return !parsed?.username && !parsed?.password;
};

export const webhookBody = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'must be an http or https address' })
    .max(2_000)
    .refine(hasNoCredentials, 'must not hold a name or a password'),
  types: z
    .array(z.string().regex(/^[A-Z][A-Za-z]{1,62}$/, 'must be the name of an event'))
    .max(100)
    .default([]),
  processes: z.array(z.uuid().toLowerCase()).max(100).default([]),
});
export const replayBody = z.strictObject({ from: position });
export const webhooksQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  cursor: z.string().max(100).optional(),
  after: position.optional(),
});

export const nativeWebhook = z.object({
  id: z.uuid(),
  url: z.string(),
  types: z.array(z.string()),
  processes: z.array(z.string()),
  owner: z.string(),
  enabled: z.boolean(),
  /** Why it is told nothing any more. */
  reason: z.string().nullable(),
  createdAt: time,
});
nativeWebhook.register(z.globalRegistry, { id: 'Webhook' });

/** As it is answered once. */
export const createdWebhook = z.object({ ...nativeWebhook.shape, secret: z.string() }).meta({ id: 'CreatedWebhook' });

export const nativeDelivery = z
  .object({
    id: z.uuid(),
    event: z.uuid(),
    position,
    status: z.enum(['delivered', 'pending', 'failed']),
    attempts: z.int(),
    at: time,
    answer: z.string().nullable(),
  })
  .meta({ id: 'Delivery' });

type Shape = z.infer<typeof nativeWebhook>;

export function nativeWebhookShape({ id, url, types, processes, owner, createdAt, disabled }: WebhookCard): Shape {
  return { id, url, types, processes, owner, enabled: disabled === null, reason: disabled, createdAt };
}

/** As its own first event tells it. */
export function newWebhookShape(id: string, { data }: WebhookEvent & { type: 'WebhookCreated' }): Shape {
  return nativeWebhookShape({ ...data, id, createdAt: data.at, disabled: null });
}
