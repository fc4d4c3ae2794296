/** The roles, from most to least. `user` is what open registration gives. */
export const roles = ['admin', 'operator', 'viewer', 'user'] as const;
export type Role = (typeof roles)[number];

/** What somebody may do. `own` on an object's route means: objects of his own; `any` in the right's name: everybody's. */
export const rights = [
  'processes:read',
  'processes:write',
  'runs:read',
  'runs:request',
  'runs:control',
  'runs:override',
  'commands:run',
  'calendars:write',
  'schedule:pause',
  'events:read',
  'ledger:verify',
  'metrics:read',
  'webhooks:manage',
  'users:manage',
  'any:read',
  'any:write',
] as const;
export type Right = (typeof rights)[number];

const reading: Right[] = ['processes:read', 'runs:read'];
const running: Right[] = ['processes:write', 'runs:request', 'runs:control'];

/** The one table of who may what; guards, documents and the generated tests read it. */
export const rightsOf: Record<Role, ReadonlySet<Right>> = {
  admin: new Set(rights),
  operator: new Set([
    ...reading,
    ...running,
    'runs:override',
    'commands:run',
    'calendars:write',
    'any:read',
    'events:read',
    'ledger:verify',
    'metrics:read',
    'webhooks:manage',
  ]),
  viewer: new Set([...reading, 'any:read', 'events:read', 'ledger:verify', 'metrics:read']),
  user: new Set([...reading, ...running]),
};

export const may = (role: Role, right: Right): boolean => rightsOf[role].has(right);
