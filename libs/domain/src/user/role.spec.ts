import { expect, test } from '@jest/globals';
import { may, rights, roles, type Right, type Role } from './role.js';

/** Who may what, as the wire notes say it: admin all; operator all of his own, reads all; viewer reads; user loads of his own. */
const table: Record<Right, Role[]> = {
  'processes:read': ['admin', 'operator', 'viewer', 'user'],
  'processes:write': ['admin', 'operator', 'user'],
  'runs:read': ['admin', 'operator', 'viewer', 'user'],
  'runs:request': ['admin', 'operator', 'user'],
  'runs:control': ['admin', 'operator', 'user'],
  'runs:override': ['admin', 'operator'],
  'commands:run': ['admin', 'operator'],
  'calendars:write': ['admin', 'operator'],
  'schedule:pause': ['admin'],
  'events:read': ['admin', 'operator', 'viewer'],
  'ledger:verify': ['admin', 'operator', 'viewer'],
  'metrics:read': ['admin', 'operator', 'viewer'],
  'webhooks:manage': ['admin', 'operator'],
  'users:manage': ['admin'],
  'any:read': ['admin', 'operator', 'viewer'],
  'any:write': ['admin'],
};

test.each(rights)('%s', (right) => {
  expect(roles.filter((role) => may(role, right))).toEqual(table[right]);
});

test('who changes things does not have to be an admin, but a viewer changes nothing', () => {
  const changing = rights.filter((right) => !/:(read|verify)$/.test(right));
  expect(changing.filter((right) => may('viewer', right))).toEqual([]);
});
