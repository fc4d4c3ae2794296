import { describe, expect, test } from '@jest/globals';
import { duration, parseDuration } from './duration.js';

test.each([
  ['0', 0],
  ['0s', 0],
  ['250ms', 250],
  ['90s', 90_000],
  ['15m', 900_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
  ['007s', 7_000],
  ['999999999d', 86_399_999_913_600_000],
])('%s is %i ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  ...['', ' ', '1', '90', '00', '-1s', '+1s', '1.5s', '1 s', ' 1s', '1s ', '1s\n', '1S', '1M', '1w', '1y', 's', 'ms'],
  ...['1h30m', 'PT1H', '1e3s', '0x1s', '１s', '1000000000s', 'Infinity', '1__proto__'],
])('%j is none', (text) => {
  expect(parseDuration(text)).toBeNull();
});

describe('between bounds', () => {
  const upToADay = duration(1_000, 86_400_000);

  test('both inclusive, kept as written', () => {
    expect(upToADay.parse('1000ms')).toBe('1000ms');
    expect(upToADay.parse('24h')).toBe('24h');
  });

  test.each([
    ['999ms', 'must be between 1000 ms and 86400000 ms'],
    ['0', 'must be between 1000 ms and 86400000 ms'],
    ['25h', 'must be between 1000 ms and 86400000 ms'],
    ['soon', 'must be a duration such as 250ms, 90s, 15m, 2h or 1d'],
  ])('%s: %s', (text, message) => {
    expect(upToADay.safeParse(text).error?.issues).toMatchObject([{ message }]);
  });

  test('a number is no duration', () => {
    expect(upToADay.safeParse(1_000).success).toBe(false);
  });
});
