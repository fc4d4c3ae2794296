import { type CallMeta, type Committed } from '#bus';
import { derivedId, newId, type DomainEvent, type Meta } from '#domain';
import { type Handled } from '#ledger';

/**
 * The meta of a command from what came over the bus: the clock is read here, and the order gets its name. `order`: an id that
 * only this order carries, so that a message that comes twice is one order.
 */
export function metaOf({ actor, correlationId, causationId, idempotency }: CallMeta, order?: string): Meta {
  const commandId = idempotency ? derivedId('key', actor, idempotency.key) : (order ?? newId());
  return {
    now: new Date().toISOString(),
    ...{ actor, correlationId, commandId },
    ...(causationId ? { causationId } : {}),
    ...(idempotency ? { idempotency } : {}),
  };
}

/** The meta of what the platform does by itself; `commandId` names it, so that doing it twice is doing it once. */
export function systemMeta(commandId: string, correlationId: string, causationId?: string): Meta {
  const meta = { now: new Date().toISOString(), actor: 'system', correlationId, commandId };
  return causationId ? { ...meta, causationId } : meta;
}

/** A command's answer: the ledger's, without what the asker does not fold. */
export function committed<E extends DomainEvent>({ events, ...rest }: Handled<E>): Committed<E> {
  return { ...rest, events: events.map(({ type, data }) => ({ type, data })) };
}
