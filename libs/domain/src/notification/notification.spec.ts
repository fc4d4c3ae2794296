import { expect, test } from '@jest/globals';
import { given } from '#testing';
import { fold, type Meta } from '../decider.js';
import { type Policies } from '../policies.js';
import { type NotificationEvent } from './notification.events.js';
import { asksFor, notification, notificationId, urgencyOf, type RecordNotification } from './notification.js';

const now = '2026-05-01T10:00:09.000Z';
const meta: Meta = { now, actor: 'system', correlationId: 'c', commandId: 'o' };
const notice = {
  ...{ run: 'r', process: null, owner: 'ann', channel: 'ntfy', title: 'Task Failed', attempts: 2, answer: '200' },
};
const record = (sent: boolean): RecordNotification => ({ type: 'RecordNotification', meta, data: { ...notice, sent } });
const sent: NotificationEvent = { type: 'NotificationSent', data: { ...notice, at: now } };
const failed: NotificationEvent = { type: 'NotificationFailed', data: { ...notice, at: now } };

test('its outcome is recorded once', () => {
  given(notification, []).when(record(true)).then([sent]);
  given(notification, []).when(record(false)).then([failed]);
  for (const before of [sent, failed]) given(notification, [before]).when(record(true)).then([]);
});

test('an event of a newer version is passed over', () => {
  const state = fold(notification, [sent]);
  expect(notification.evolve(state, JSON.parse('{"type":"NotificationBlessed","data":{}}'))).toEqual(state);
});

test('there is one of each kind a run and channel', () => {
  const ids = (['start', 'completion', 'error'] as const).flatMap((what) =>
    ['ntfy', 'mail'].map((channel) => notificationId('r', what, channel)),
  );
  expect(new Set(ids).size).toBe(6);
  expect(notificationId('r', 'error', 'ntfy')).toBe(notificationId('r', 'error', 'ntfy'));
});

type On = NonNullable<Policies['notify']>['on'];

test.each<[On | undefined, string[]]>([
  [undefined, []],
  [[], []],
  [['never'], []],
  [['never', 'error'], []],
  [['start'], ['start']],
  [
    ['completion', 'error'],
    ['completion', 'error'],
  ],
  [['always'], ['completion', 'error']],
  [
    ['always', 'start'],
    ['start', 'completion', 'error'],
  ],
])('%j asks for %j', (on, asked) => {
  const kinds = ['start', 'completion', 'error'] as const;
  expect(kinds.filter((what) => asksFor(on ? { notify: { on } } : {}, what))).toEqual(asked);
});

test('how urgent: by the priority, and a failure is high at least', () => {
  const priorities = [0, 2, 5, 8, 10];
  expect(priorities.map((each) => urgencyOf(each, 'completion'))).toEqual(['low', 'low', 'default', 'high', 'urgent']);
  expect(priorities.map((each) => urgencyOf(each, 'error'))).toEqual(['high', 'high', 'high', 'high', 'urgent']);
});
