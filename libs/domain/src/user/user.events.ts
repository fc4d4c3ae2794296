import type { Role } from './role.js';

export type UserEvent =
  | {
      type: 'UserRegistered';
      data: { number: number; username: string; email: string; role: Role; by: string; at: string };
    }
  | { type: 'UserRoleAssigned'; data: { role: Role; by: string; at: string } }
  | { type: 'UserPasswordReplaced'; data: { by: string; at: string } }
  | { type: 'UserLimitChanged'; data: { maxConcurrentRuns: number | null; by: string; at: string } }
  | { type: 'UserDeactivated'; data: { by: string; at: string } }
  | { type: 'UserReactivated'; data: { by: string; at: string } };
