import { expect, test } from '@jest/globals';
import { given } from '#testing';
import { fold, type Meta } from '../decider.js';
import { type PauseEvent } from './pause.events.js';
import { pause, pauseAt, type PauseCommand } from './pause.js';

const time = (clock: string) => `2026-05-01T${clock}.000Z`;
const meta = (now: string): Meta => ({ now: time(now), actor: 'root', correlationId: 'c', commandId: 'o' });
const begin = (now: string, reason: string, until: string | null = null): PauseCommand => ({
  type: 'BeginPause',
  meta: meta(now),
  data: { reason, until: until && time(until) },
});
const end = (now: string): PauseCommand => ({ type: 'EndPause', meta: meta(now), data: {} });
const begun = (at: string, reason: string, until: string | null = null): PauseEvent => ({
  type: 'PauseBegun',
  data: { reason, until: until && time(until), by: 'root', at: time(at) },
});
const ended = (at: string): PauseEvent => ({ type: 'PauseEnded', data: { by: 'root', at: time(at) } });
const reasonAt = (events: PauseEvent[], at: string) => pauseAt(fold(pause, events), time(at))?.reason;

test('begins with a reason, and an end where one is given', () => {
  given(pause, [])
    .when(begin('10:00:00', 'move'))
    .then([begun('10:00:00', 'move')]);
  given(pause, [])
    .when(begin('10:00:00', 'move', '11:00:00'))
    .then([begun('10:00:00', 'move', '11:00:00')]);
});

test.each(['09:00:00', '10:00:00'])('an end that is past is refused: %s', (until) => {
  given(pause, [])
    .when(begin('10:00:00', 'move', until))
    .thenRefused('malformed', 'UNTIL_PAST');
});

test('the same again adds nothing; another reason or end takes its place', () => {
  const state = [begun('10:00:00', 'move', '12:00:00')];
  given(pause, state)
    .when(begin('10:30:00', 'move', '12:00:00'))
    .then([]);
  given(pause, state)
    .when(begin('10:30:00', 'fire', '12:00:00'))
    .then([begun('10:30:00', 'fire', '12:00:00')]);
  given(pause, state)
    .when(begin('10:30:00', 'move'))
    .then([begun('10:30:00', 'move')]);
  given(pause, state)
    .when(begin('12:00:00', 'move', '13:00:00'))
    .then([begun('12:00:00', 'move', '13:00:00')]);
});

test('is ended, once', () => {
  given(pause, [begun('10:00:00', 'move')])
    .when(end('11:00:00'))
    .then([ended('11:00:00')]);
  given(pause, [begun('10:00:00', 'move'), ended('11:00:00')])
    .when(end('11:30:00'))
    .then([]);
  given(pause, []).when(end('11:00:00')).then([]);
  given(pause, [begun('10:00:00', 'move', '11:00:00')])
    .when(end('11:00:00'))
    .then([]);
});

test.each([null, '12:00:00'])('is ended though it was begun by a clock that was ahead, up to %s', (until) => {
  const ahead = begun('10:10:00', 'move', until);
  given(pause, [ahead])
    .when(end('10:01:00'))
    .then([ended('10:01:00')]);
  given(pause, [ahead, ended('10:01:00')])
    .when(end('10:02:00'))
    .then([]);
  for (const at of ['10:00:00', '10:01:00', '10:10:00', '11:59:59'])
    expect(reasonAt([ahead, ended('10:01:00')], at)).toBeUndefined();
});

test('holds from its begin up to its end', () => {
  const events = [begun('10:00:00', 'one', '11:00:00'), begun('10:30:00', 'two'), ended('12:00:00')];
  const at = ['09:59:59', '10:00:00', '10:29:59', '10:30:00', '11:59:59', '12:00:00'];
  expect(at.map((each) => reasonAt(events, each))).toEqual([undefined, 'one', 'one', 'two', 'two', undefined]);
  expect(reasonAt([begun('10:00:00', 'one', '11:00:00'), ended('10:15:00')], '10:15:00')).toBeUndefined();
  expect(reasonAt([begun('10:00:00', 'one', '11:00:00'), begun('11:30:00', 'two')], '11:15:00')).toBeUndefined();
});

test('an event of a newer version is passed over', () => {
  const state = fold(pause, [begun('10:00:00', 'move')]);
  expect(pause.evolve(state, JSON.parse('{"type":"PauseBlessed","data":{}}'))).toEqual(state);
});
