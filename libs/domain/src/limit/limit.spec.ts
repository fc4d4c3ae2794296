import { expect, test } from '@jest/globals';
import { given } from '#testing';
import { fold, type Meta } from '../decider.js';
import { type LimitEvent } from './limit.events.js';
import { limit, type LimitCommand } from './limit.js';

const now = '2026-05-01T10:00:09.000Z';
const meta: Meta = { now, actor: 'root', correlationId: 'c', commandId: 'o' };
const changed = (most: number): LimitEvent => ({ type: 'LimitChanged', data: { most, by: 'root', at: now } });
const change = (most: number): LimitCommand => ({ type: 'ChangeLimit', meta, data: { most } });

test('a hundred at first', () => {
  expect(limit.initial.most).toBe(100);
  given(limit, []).when(change(100)).then([]);
});

test('each change is a fact, with who made it; the same again is none', () => {
  given(limit, [])
    .when(change(7))
    .then([changed(7)]);
  given(limit, [changed(7)])
    .when(change(7))
    .then([]);
  given(limit, [changed(7)])
    .when(change(100))
    .then([changed(100)]);
  given(limit, [changed(7), changed(9)])
    .when(change(7))
    .then([changed(7)]);
});

test('the last one counts; an event of a newer version is passed over', () => {
  const state = fold(limit, [changed(7), changed(9)]);
  expect(state).toEqual({ most: 9 });
  expect(limit.evolve(state, JSON.parse('{"type":"LimitBlessed","data":{"most":1}}'))).toEqual(state);
});
