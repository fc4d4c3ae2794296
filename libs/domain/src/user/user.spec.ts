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
const change = (data: Extract<UserCommand, { type: 'ChangeUser' }>['data']): UserCommand => ({
  type: 'ChangeUser',
  meta,
  data,
});
const assign = (role: 'operator' | 'viewer') => change({ role });
const replace = change({ password: true });
const deactivate = change({ active: false });
const reactivate = change({ active: true });

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

test.each([assign('viewer'), replace, deactivate, reactivate, change({})])('there is nobody: $data', (order) => {
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

test('what changes at once is one order, and what stays makes no event', () => {
  const all = change({ role: 'viewer', active: false, password: true });
  const made = ['UserRoleAssigned', 'UserPasswordReplaced', 'UserDeactivated'];
  expect(user.decide(user.evolve(user.initial, registered), all).map(({ type }) => type)).toEqual(made);
  given(user, [registered]).when(change({})).then([]);
  given(user, [registered])
    .when(change({ role: 'operator', active: true, password: false }))
    .then([]);
});

describe('his own limit', () => {
  const limited = (maxConcurrentRuns: number | null): UserEvent => ({
    type: 'UserLimitChanged',
    data: { maxConcurrentRuns, ...stamp },
  });
  const limitTo = (maxConcurrentRuns: number | null) => change({ maxConcurrentRuns });

  test('may come with him, as a fact of its own', () => {
    const first: UserEvent = { type: 'UserRegistered', data: { ...ann, ...stamp } };
    given(user, [])
      .when({ type: 'RegisterUser', meta, data: { ...ann, maxConcurrentRuns: 3 } })
      .then([first, limited(3)]);
    given(user, [])
      .when({ type: 'RegisterUser', meta, data: { ...ann, maxConcurrentRuns: null } })
      .then([first]);
  });

  test('is changed once, and taken away by null; left out it stays', () => {
    given(user, [registered])
      .when(limitTo(3))
      .then([limited(3)]);
    given(user, [registered]).when(limitTo(null)).then([]);
    given(user, [registered, limited(3)])
      .when(limitTo(3))
      .then([]);
    given(user, [registered, limited(3)])
      .when(limitTo(5))
      .then([limited(5)]);
    given(user, [registered, limited(3)])
      .when(limitTo(null))
      .then([limited(null)]);
    given(user, [registered, limited(3), limited(null)])
      .when(limitTo(null))
      .then([]);
    given(user, [registered, limited(3)])
      .when(change({}))
      .then([]);
    given(user, [registered, limited(3)])
      .when(deactivate)
      .then([{ type: 'UserDeactivated', data: stamp }]);
  });

  test('nobody has none to change', () => {
    given(user, []).when(limitTo(3)).thenRefused('not-found', 'USER_NOT_FOUND');
  });

  test('outlives a deactivation', () => {
    const state = [registered, limited(3), deactivated, reactivated].reduce(user.evolve, user.initial);
    expect(state).toEqual({ status: 'active', role: 'operator', maxConcurrentRuns: 3 });
  });
});

test('a role outlives a deactivation; an event of a newer version is passed over', () => {
  const state = [registered, deactivated, reactivated].reduce(user.evolve, user.initial);
  expect(state).toEqual({ status: 'active', role: 'operator', maxConcurrentRuns: null });
  expect(user.evolve(state, JSON.parse('{"type":"UserBlessed","data":{}}'))).toEqual(state);
});
