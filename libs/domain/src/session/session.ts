import { type Decider, type Meta } from '../decider.js';

export type SessionEvent =
  | { type: 'SessionOpened'; data: { user: string; expiresAt: string; at: string } }
  | { type: 'SessionRefused'; data: { user: string; reason: string; at: string } }
  | { type: 'SessionEnded'; data: { by: string; at: string } };

export type SessionCommand =
  | { type: 'OpenSession'; meta: Meta; data: { user: string; expiresAt: string } }
  | { type: 'RefuseSession'; meta: Meta; data: { user: string; reason: string } }
  | { type: 'EndSession'; meta: Meta; data: Record<string, never> };

/** One sign-in, from its opening (or its refusal) to its end. A stream each, so that logins never wait for one another. */
export const session: Decider<'absent' | 'open' | 'ended', SessionCommand, SessionEvent> = {
  category: 'session',
  initial: 'absent',
  decide(state, { type, meta, data }) {
    const { now: at, actor: by } = meta;
    switch (type) {
      case 'OpenSession':
        return state === 'absent' ? [{ type: 'SessionOpened', data: { ...data, at } }] : [];
      case 'RefuseSession':
        return state === 'absent' ? [{ type: 'SessionRefused', data: { ...data, at } }] : [];
      case 'EndSession':
        return state === 'open' ? [{ type: 'SessionEnded', data: { by, at } }] : [];
      default:
        return type satisfies never;
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'SessionOpened':
        return 'open';
      case 'SessionRefused':
      case 'SessionEnded':
        return 'ended';
      default:
        return state;
    }
  },
};
