import { expect, test } from '@jest/globals';
import { given } from '#testing';
import { type Meta } from '../decider.js';
import { session, type SessionCommand, type SessionEvent } from './session.js';

const now = '2026-05-01T10:00:09.000Z';
const meta: Meta = { now, actor: 'ann', correlationId: 'c', commandId: 'o' };
const expiresAt = '2026-05-02T10:00:09.000Z';

const opened: SessionEvent = { type: 'SessionOpened', data: { user: 'ann', expiresAt, at: now } };
const refused: SessionEvent = { type: 'SessionRefused', data: { user: 'ann', reason: 'wrong password', at: now } };
const ended: SessionEvent = { type: 'SessionEnded', data: { by: 'ann', at: now } };

const open: SessionCommand = { type: 'OpenSession', meta, data: { user: 'ann', expiresAt } };
const refuse: SessionCommand = { type: 'RefuseSession', meta, data: { user: 'ann', reason: 'wrong password' } };
const end: SessionCommand = { type: 'EndSession', meta, data: {} };

test('opened, refused or ended, once', () => {
  given(session, []).when(open).then([opened]);
  given(session, []).when(refuse).then([refused]);
  given(session, [opened]).when(end).then([ended]);
});

test.each([
  ['before it opens', [], [end]],
  ['once open', [opened], [open, refuse]],
  ['once refused', [refused], [open, refuse, end]],
  ['once ended', [opened, ended], [open, refuse, end]],
])('what has no meaning adds nothing: %s', (_, past: SessionEvent[], orders) => {
  for (const order of orders) given(session, past).when(order).then([]);
});

test('an event of a newer version neither opens nor ends it', () => {
  const newer: SessionEvent = JSON.parse('{"type":"SessionBlessed","data":{}}');
  given(session, [newer]).when(open).then([opened]);
  given(session, [opened, newer]).when(end).then([ended]);
  expect(session.evolve('ended', newer)).toBe('ended');
});
