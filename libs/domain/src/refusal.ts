/** What kind of "no" it is; the gateway maps each kind to a status once (`apps/gateway/src/refusals.ts`). */
export type RefusalKind =
  'malformed' | 'unauthenticated' | 'forbidden' | 'not-found' | 'rejected' | 'conflict' | 'limited' | 'unavailable';

export interface RefusalShape {
  kind: RefusalKind;
  code: string;
  message: string;
  details?: unknown;
}

/** The one error a caller is meant to see: everything else is a bug. It crosses the bus whole. */
export class Refusal extends Error {
  constructor(
    readonly kind: RefusalKind,
    readonly code: string,
    message: string,
    readonly details?: unknown,
  ) {
    super(message);
    this.name = 'Refusal';
  }

  toJSON(): RefusalShape {
    const { kind, code, message, details } = this;
    return details === undefined ? { kind, code, message } : { kind, code, message, details };
  }

  static from({ kind, code, message, details }: RefusalShape): Refusal {
    return new Refusal(kind, code, message, details);
  }
}
