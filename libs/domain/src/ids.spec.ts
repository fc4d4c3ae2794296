import { describe, expect, test } from '@jest/globals';
import { derivedId, eventId, isId, newId, scheduledRunId, streamParts } from './ids.js';

const processId = '0197a3c0-0000-7000-8000-000000000001';
const instant = '2026-05-01T10:00:00.000Z';

describe('derived ids', () => {
  test('are the same for ever: a run already in a ledger must be found by its instant', () => {
    expect(scheduledRunId(processId, instant)).toBe('68e2fdd3-9e93-51e1-895f-221fac6d1ef2');
    expect(derivedId('user', 'first admin')).toBe('e9e2ac5e-0151-5960-9621-840bd269cd51');
  });

  test('differ where any word does', () => {
    const ids = [
      scheduledRunId(processId, instant),
      scheduledRunId(processId, '2026-05-01T10:00:01.000Z'),
      scheduledRunId('0197a3c0-0000-7000-8000-000000000002', instant),
      derivedId('a', 'bc'),
      derivedId('ab', 'c'),
      derivedId('abc'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isId)).toBe(true);
  });
});

test('an order names its events: the first like itself, the others counted up', () => {
  const order = '0197a3c0-0000-7000-8000-00000000fffe';
  const ids = [0, 1, 2, 16].map((index) => eventId(order, index).slice(-5));
  expect(ids).toEqual(['0fffe', '0ffff', '00000', '0000e']);
  expect(eventId(order, 0)).toBe(order);
  expect(isId(eventId(order, 2))).toBe(true);
});

test('new ids are ids, all different, the newer ones later in order', () => {
  const ids = Array.from({ length: 1_000 }, newId);
  expect(ids.every(isId)).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
  expect([...ids].sort()).toEqual(ids);
});

test.each([
  [processId, true],
  [processId.toUpperCase(), true],
  ['00000000-0000-0000-0000-000000000000', false],
  ['0197a3c0-0000-7000-c000-000000000001', false],
  ['0197a3c0-0000-9000-8000-000000000001', false],
  ['0197a3c00000700080000000000000001', false],
  [`${processId} `, false],
  [`${processId}\n`, false],
  [`{${processId}}`, false],
  ['', false],
  ["' or 1=1", false],
])('isId(%j): %s', (text, is) => {
  expect(isId(text)).toBe(is);
});

test('a stream’s name is its category and its id, dashes and all', () => {
  expect(streamParts(`run-${processId}`)).toEqual({ category: 'run', id: processId });
});
