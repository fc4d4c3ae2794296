import { type CallMeta } from '#bus';
import { derivedId, newId, type Meta } from '#domain';

/** The meta of a command from what came over the bus: the clock is read here, and the order gets its name. */
export function metaOf({ actor, correlationId, causationId, idempotency }: CallMeta): Meta {
  const commandId = idempotency ? derivedId('key', actor, idempotency.key) : newId();
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
