import { describe, expect, test } from '@jest/globals';
import { given } from '#testing';
import { type Meta } from '../decider.js';
import { type UserEvent } from './user.events.js';
import { user, type UserCommand } from './user.js';

const now = '2026-05-01T10:00:09.000Z';
const meta: Meta = { now, actor: 'root', correlationId: 'c', commandId: 'o' };
const stamp = { by: 'root', at: now };
const before = { by: 'root', at: '2026-05-01T09:00:00.000Z' };
const ann = { number: 1, username: 'ann', email: 'ann@example.com', role: 'operator' as const };

const registered: UserEvent = { type: 'UserRegistered', data: { ...ann, ...before } };
const deactivated: UserEvent = { type: 'UserDeactivated', data: before };
const reactivated: UserEvent = { type: 'UserReactivated', data: before };

const register: UserCommand = { type: 'RegisterUser', meta, data: ann };
const assign = (role: 'operator' | 'viewer'): UserCommand => ({ type: 'AssignRole', meta, data: { role } });
const replace: UserCommand = { type: 'ReplacePassword', meta, data: {} };
const deactivate: UserCommand = { type: 'DeactivateUser', meta, data: {} };
const reactivate: UserCommand = { type: 'ReactivateUser', meta, data: {} };

describe('register', () => {
  test('somebody new', () => {
    given(user, [])
      .when(register)
      .then([{ type: 'UserRegistered', data: { ...ann, ...stamp } }]);
  });

  test('a repeat adds nothing', () => {
    given(user, [registered]).when(register).then([]);
    given(user, [registered, deactivated]).when(register).then([]);
  });
});

test.each([assign('viewer'), replace, deactivate, reactivate])('there is nobody: $type', (order) => {
  given(user, []).when(order).thenRefused('not-found', 'USER_NOT_FOUND');
});

test('a role is assigned once', () => {
  const assigned: UserEvent = { type: 'UserRoleAssigned', data: { role: 'viewer', ...stamp } };
  given(user, [registered]).when(assign('viewer')).then([assigned]);
  given(user, [registered]).when(assign('operator')).then([]);
  given(user, [registered, assigned]).when(assign('viewer')).then([]);
  given(user, [registered, assigned])
    .when(assign('operator'))
    .then([{ type: 'UserRoleAssigned', data: { role: 'operator', ...stamp } }]);
});

test('each new password is a fact of its own, and the event holds none', () => {
  const replaced: UserEvent = { type: 'UserPasswordReplaced', data: stamp };
  given(user, [registered]).when(replace).then([replaced]);
  given(user, [registered, replaced]).when(replace).then([replaced]);
});

test('deactivated and reactivated, each once', () => {
  given(user, [registered])
    .when(deactivate)
    .then([{ type: 'UserDeactivated', data: stamp }]);
  given(user, [registered, deactivated]).when(deactivate).then([]);
  given(user, [registered, deactivated])
    .when(reactivate)
    .then([{ type: 'UserReactivated', data: stamp }]);
  given(user, [registered]).when(reactivate).then([]);
  given(user, [registered, deactivated, reactivated]).when(reactivate).then([]);
});

test('a role outlives a deactivation; an event of a newer version is passed over', () => {
  const state = [registered, deactivated, reactivated].reduce(user.evolve, user.initial);
  expect(state).toEqual({ status: 'active', role: 'operator' });
  expect(user.evolve(state, JSON.parse('{"type":"UserBlessed","data":{}}'))).toEqual(state);
});
