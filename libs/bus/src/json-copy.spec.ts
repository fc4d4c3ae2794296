import { describe, expect, test } from '@jest/globals';
import { Refusal } from '#domain';
import { jsonCopy } from './json-copy.js';

const viaText = (value: unknown): unknown => JSON.parse(JSON.stringify({ value })).value;
const viaCopy = (value: unknown): unknown => (jsonCopy({ value }) as { value: unknown }).value;

/** Values of every kind, nested by chance; the same for the same seed. */
function anyValue(seed: { n: number }, depth = 0): unknown {
  const next = (of: number) => (seed.n = (seed.n * 1_103_515_245 + 12_345) % 2 ** 31) % of;
  const leaves = [
    null,
    undefined,
    true,
    false,
    0,
    -0,
    1.5,
    NaN,
    Infinity,
    '',
    'a\u0000"\\',
    '\ud800',
    new Date(next(9e9)),
    () => 1,
  ];
  const kind = next(depth > 4 ? 1 : 4);
  if (kind < 2) return leaves[next(leaves.length)];
  const length = next(5);
  if (kind === 2) return Array.from({ length }, () => anyValue(seed, depth + 1));
  const keys = ['a', 'b', '1', '', '__proto__', 'toString', 'länge'];
  const entries = Array.from({ length }, () => [keys[next(keys.length)], anyValue(seed, depth + 1)]);
  return Object.fromEntries(entries as [string, unknown][]);
}

describe('a copy is what the text would have said', () => {
  test.each([
    ['what is left out', { a: undefined, b: () => 1, c: Symbol('c'), d: [undefined, () => 1] }],
    ['numbers', [0, -0, 1e300, NaN, -Infinity]],
    [
      'what says itself how it looks',
      { at: new Date(0), refusal: new Refusal('rejected', 'NO', 'No'), none: { toJSON: () => undefined } },
    ],
    ['boxes', [Object(1), Object('a'), Object(false)]],
    ['holes', Array(3)],
    ['what has no text of its own', [new Map([[1, 2]]), new Set([1]), /a/]],
    ['a prototype by name', JSON.parse('{"__proto__":{"admin":true},"constructor":1}')],
    ['without a prototype', Object.assign(Object.create(null), { a: 1 })],
  ])('%s', (_, value) => {
    expect(viaCopy(value)).toStrictEqual(viaText(value));
    expect(JSON.stringify(viaCopy(value))).toBe(JSON.stringify(value));
  });

  test('ten thousand values by chance', () => {
    const seed = { n: 42 };
    for (let i = 0; i < 10_000; i++) {
      const value = anyValue(seed);
      expect(viaCopy(value)).toStrictEqual(viaText(value));
    }
  });
});

test('nothing is shared with the original', () => {
  const original = { list: [{ n: 1 }] };
  const copy = jsonCopy(original) as typeof original;
  original.list[0]!.n = 2;
  original.list.push({ n: 3 });
  expect(copy).toStrictEqual({ list: [{ n: 1 }] });
});

test('a prototype is never changed by a name', () => {
  const copy = jsonCopy(JSON.parse('{"__proto__":{"admin":true}}')) as { admin?: boolean };
  expect(copy.admin).toBeUndefined();
  expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
});

test('what cannot be said at all is an error', () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  expect(() => jsonCopy(circle)).toThrow(RangeError);
  expect(() => jsonCopy({ n: 1n })).toThrow(TypeError);
});
