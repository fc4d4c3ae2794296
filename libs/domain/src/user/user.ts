import { type Decider, type Meta } from '../decider.js';
import { Refusal } from '../refusal.js';
import { type Role } from './role.js';
import { type UserEvent } from './user.events.js';

export interface User {
  status: 'absent' | 'active' | 'inactive';
  role: Role;
  maxConcurrentRuns: number | null;
}

export type UserCommand =
  | {
      type: 'RegisterUser';
      meta: Meta;
      data: { number: number; username: string; email: string; role: Role; maxConcurrentRuns?: number | null };
    }
  /** What is left out stays; `password`: there is a new one, which no event holds. */
  | {
      type: 'ChangeUser';
      meta: Meta;
      data: { role?: Role; active?: boolean; password?: boolean; maxConcurrentRuns?: number | null };
    };

/** A person or program that signs in. Passwords and sessions are rows of the auth service; here is who did what when. */
export const user: Decider<User, UserCommand, UserEvent> = {
  category: 'user',
  initial: { status: 'absent', role: 'user', maxConcurrentRuns: null },
  decide(state, { type, meta, data }) {
    const { now: at, actor: by } = meta;
    if (type === 'RegisterUser') {
      if (state.status !== 'absent') return [];
      const { maxConcurrentRuns: own = null, ...registered } = data;
      const limited: UserEvent[] = own === null ? [] : [limitedTo(own, meta)];
      return [{ type: 'UserRegistered', data: { ...registered, by, at } }, ...limited];
    }
    if (state.status === 'absent') throw new Refusal('not-found', 'USER_NOT_FOUND', 'No such user');
    const { role = state.role, active = state.status === 'active', password = false } = data;
    const events: UserEvent[] = [];
    if (role !== state.role) events.push({ type: 'UserRoleAssigned', data: { role, by, at } });
    if (password) events.push({ type: 'UserPasswordReplaced', data: { by, at } });
    const { maxConcurrentRuns: most = state.maxConcurrentRuns } = data;
    if (most !== state.maxConcurrentRuns) events.push(limitedTo(most, meta));
    if (active !== (state.status === 'active')) {
      events.push({ type: active ? 'UserReactivated' : 'UserDeactivated', data: { by, at } });
    }
    return events;
  },
  evolve(state, event) {
    switch (event.type) {
      case 'UserRegistered':
        return { ...state, status: 'active', role: event.data.role };
      case 'UserRoleAssigned':
        return { ...state, role: event.data.role };
      case 'UserLimitChanged':
        return { ...state, maxConcurrentRuns: event.data.maxConcurrentRuns };
      case 'UserDeactivated':
        return { ...state, status: 'inactive' };
      case 'UserReactivated':
        return { ...state, status: 'active' };
      default:
        return state;
    }
  },
};

const limitedTo = (maxConcurrentRuns: number | null, { actor: by, now: at }: Meta): UserEvent => ({
  type: 'UserLimitChanged',
  data: { maxConcurrentRuns, by, at },
});
