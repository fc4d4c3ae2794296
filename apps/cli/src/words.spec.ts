import { expect, test } from '@jest/globals';
import { age, took } from './words.js';

const now = Date.parse('2026-03-01T12:00:00Z');

test.each<[string | null, string]>([
  [null, ''],
  ['2026-03-01T12:00:00.400Z', 'now'],
  ['2026-03-01T11:59:58Z', '2s ago'],
  ['2026-03-01T11:56:01Z', '3m ago'],
  ['2026-03-01T09:00:00Z', '3h ago'],
  ['2026-02-25T12:00:00Z', '4d ago'],
  ['2026-03-01T12:02:30Z', 'in 2m'],
])('%s is %s', (at, words) => expect(age(at, now)).toBe(words));

test.each<[number | null, string]>([
  [null, ''],
  [0, '0.00s'],
  [250, '0.25s'],
  [42_900, '42s'],
  [60_000, '1m'],
  [185_000, '3m 5s'],
  [7_800_000, '2h 10m'],
  [180_000_000, '2d 2h'],
])('%s ms is %s', (ms, words) => expect(took(ms)).toBe(words));
