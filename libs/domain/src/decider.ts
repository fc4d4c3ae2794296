/** What a decision may know beyond the state: everything impure, made once at the door. */
export interface Meta {
  /** ISO instant of the order. */
  now: string;
  /** User id, or `system`. */
  actor: string;
  correlationId: string;
  causationId?: string;
  /** Names the order: the same id on the same stream is the same append, however often it comes. */
  commandId: string;
  idempotency?: { key: string; hash: string };
}

export interface DomainEvent {
  type: string;
  data: object;
  /** Shape number of `data`; 1 when left out. Older shapes are lifted on read. */
  schema?: number;
}

/** A noun's rules. `decide` throws `Refusal`; `evolve` never throws and ignores events it does not know. */
export interface Decider<S, C extends { type: string; meta: Meta }, E extends DomainEvent> {
  category: string;
  initial: S;
  decide(state: S, command: C): E[];
  evolve(state: S, event: E): S;
}

export function fold<S, C extends { type: string; meta: Meta }, E extends DomainEvent>(
  decider: Decider<S, C, E>,
  events: readonly E[],
  from: S = decider.initial,
): S {
  return events.reduce((state, event) => decider.evolve(state, event), from);
}
