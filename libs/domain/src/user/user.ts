import { type Decider, type Meta } from '../decider.js';
import { Refusal } from '../refusal.js';
import { type Role } from './role.js';
import { type UserEvent } from './user.events.js';

export interface User {
  status: 'absent' | 'active' | 'inactive';
  role: Role;
}

export type UserCommand =
  | { type: 'RegisterUser'; meta: Meta; data: { number: number; username: string; email: string; role: Role } }
  | { type: 'AssignRole'; meta: Meta; data: { role: Role } }
  | { type: 'ReplacePassword'; meta: Meta; data: Record<string, never> }
  | { type: 'DeactivateUser'; meta: Meta; data: Record<string, never> }
  | { type: 'ReactivateUser'; meta: Meta; data: Record<string, never> };

/** A person or program that signs in. Passwords and sessions are rows of the auth service; here is who did what when. */
export const user: Decider<User, UserCommand, UserEvent> = {
  category: 'user',
  initial: { status: 'absent', role: 'user' },
  decide(state, { type, meta, data }) {
    const { now: at, actor: by } = meta;
    if (type === 'RegisterUser')
      return state.status === 'absent' ? [{ type: 'UserRegistered', data: { ...data, by, at } }] : [];
    if (state.status === 'absent') throw new Refusal('not-found', 'USER_NOT_FOUND', 'No such user');
    switch (type) {
      case 'AssignRole':
        return state.role === data.role ? [] : [{ type: 'UserRoleAssigned', data: { ...data, by, at } }];
      case 'ReplacePassword':
        return [{ type: 'UserPasswordReplaced', data: { by, at } }];
      case 'DeactivateUser':
        return state.status === 'inactive' ? [] : [{ type: 'UserDeactivated', data: { by, at } }];
      case 'ReactivateUser':
        return state.status === 'active' ? [] : [{ type: 'UserReactivated', data: { by, at } }];
      default:
        return type satisfies never;
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'UserRegistered':
        return { status: 'active', role: event.data.role };
      case 'UserRoleAssigned':
        return { ...state, role: event.data.role };
      case 'UserDeactivated':
        return { ...state, status: 'inactive' };
      case 'UserReactivated':
        return { ...state, status: 'active' };
      default:
        return state;
    }
  },
};
