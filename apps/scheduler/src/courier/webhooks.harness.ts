import { newId, type Role, type UserEvent } from '#domain';
import { type StoredEvent } from '#ledger';
import { type Context } from '#service';
import { WebhookController } from './webhook.controller.js';
import { secretPlace, signatureOf } from './webhook.receiver.js';

export interface Hook {
  id: string;
  secret: string;
  webhooks: WebhookController;
  as: { actor: string; correlationId: string };
}

interface Wanted {
  owner?: string;
  types?: string[];
  processes?: string[];
}

export async function subscribe(
  context: Context,
  url: string,
  { owner = 'ann', types = [], processes = [] }: Wanted = {},
): Promise<Hook> {
  const [id, secret] = [newId(), newId()];
  const as = { actor: owner, correlationId: newId() };
  const webhooks = new WebhookController(context);
  const sealed = context.secrets.sealOne(secretPlace, secret);
  await webhooks.create({ data: { id, url, types, processes, secret: sealed }, meta: as });
  return { id, secret, webhooks, as };
}

interface Said {
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** The events that came, each with a good signature, or else the reason why not. */
export function verified({ secret }: Hook, received: readonly Said[]): StoredEvent[] {
  return received.map(({ headers, body }) => {
    const timestamp = String(headers['x-runledger-timestamp']);
    const age = Math.abs(Date.now() / 1_000 - Number(timestamp));
    if (headers['x-runledger-signature'] !== signatureOf(secret, timestamp, body) || !(age < 120)) {
      throw new Error(`not signed as it should be: ${body}`);
    }
    return JSON.parse(body) as StoredEvent;
  });
}

export async function register({ ledger }: Context, id: string, role: Role): Promise<void> {
  const at = new Date().toISOString();
  const data = { number: 1, username: id, email: `${id}@example.com`, role, by: 'system', at };
  await tell({ ledger }, id, { type: 'UserRegistered', data });
}

export async function tell({ ledger }: Pick<Context, 'ledger'>, user: string, event: UserEvent): Promise<void> {
  const meta = { now: event.data.at, actor: 'root', correlationId: newId(), commandId: newId() };
  await ledger.append({ stream: `user-${user}`, expected: null, events: [event], meta });
}

export async function everythingAfter({ ledger }: Context, position: string): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (let page: StoredEvent[]; (page = await ledger.readFrom(all.at(-1)?.position ?? position, 1_000)).length > 0;)
    all.push(...page);
  return all;
}
