import { describe, expect, test } from '@jest/globals';
import { type StoredEvent } from './stored.js';
import { Tail } from './tail.js';

const events = (first: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({ position: String(first + n) }) as StoredEvent);
const add = (tail: Tail, first: number, count: number, size = 100) =>
  tail.add(BigInt(first), events(first, count), size);
const positions = (tail: Tail, after: number, limit = 10_000) =>
  tail.after(BigInt(after), limit).map(({ position }) => Number(position));

describe('the tail', () => {
  test('has what follows a position, up to a limit, and nothing of what it never had', () => {
    const tail = new Tail();
    add(tail, 5, 3);
    add(tail, 8, 2);
    expect(positions(tail, 4)).toEqual([5, 6, 7, 8, 9]);
    expect(positions(tail, 6, 2)).toEqual([7, 8]);
    expect(positions(tail, 9)).toEqual([]);
    expect(positions(tail, 3)).toEqual([]);
  });

  test('begins anew after a gap, and a late answer does not bring back what lies before', () => {
    const tail = new Tail();
    add(tail, 1, 3);
    add(tail, 6, 2);
    expect(positions(tail, 2)).toEqual([]);
    add(tail, 4, 2);
    expect(positions(tail, 3)).toEqual([]);
    expect(positions(tail, 5)).toEqual([6, 7]);
  });

  test('leaves what is large to the table', () => {
    const tail = new Tail();
    add(tail, 1, 2);
    add(tail, 3, 1, 1_000_000);
    expect(positions(tail, 0)).toEqual([]);
    expect(positions(tail, 2)).toEqual([]);
    add(tail, 4, 1);
    expect(positions(tail, 3)).toEqual([4]);
  });

  test('forgets the oldest, never one in the middle', () => {
    const tail = new Tail();
    for (let first = 1; first < 30_000; first += 100) add(tail, first, 100);
    const kept = positions(tail, 26_000);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, n) => 26_001 + n));
    expect(kept.at(-1)).toBe(30_000);
    expect(positions(tail, 100)).toEqual([]);
  });
});
