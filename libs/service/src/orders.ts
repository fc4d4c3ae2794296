import { type CallMeta, type Committed } from '#bus';
import { derivedId, newId, type DomainEvent, type Meta } from '#domain';
import { type Handled } from '#ledger';

/**
 * The meta of a command from what came over the bus: the clock is read here, and the order gets its name. `order`: an id that
 * only this order carries, so that a message that comes twice is one order.
 */
export function metaOf({ actor, correlationId, causationId, idempotency }: CallMeta, order?: string): Meta {
  const commandId = idempotency ? derivedId('key', actor, idempotency.key) : (order ?? newId());
  const meta: Meta = { now: new Date().toISOString(), actor, correlationId, commandId };
  if (causationId) meta.causationId = causationId;
  if (idempotency) meta.idempotency = idempotency;
  return meta;
}

/** The meta of what the platform does by itself; `commandId` names it, so that doing it twice is doing it once. */
export function systemMeta(commandId: string, correlationId: string, causationId?: string): Meta {
  const meta = { now: new Date().toISOString(), actor: 'system', correlationId, commandId };
  return causationId ? { ...meta, causationId } : meta;
}

/** A command's answer: the ledger's, without what the asker does not fold. */
export function committed<E extends DomainEvent>(handled: Handled<E>): Committed<E> {
  const { stream, position, version, events, repeated } = handled;
  return { stream, position, version, events: events.map(({ type, data }) => ({ type, data })), repeated };
}
