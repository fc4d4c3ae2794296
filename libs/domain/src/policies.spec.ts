import { describe, expect, test } from '@jest/globals';
import { attemptsOf, catchUpWindowOf, jitterOf, policies, retryDelayAfter, timeoutOf } from './policies.js';

const day = 86_400_000;

test('what is left out stays out, and has its default where it is asked for', () => {
  expect(policies.parse({})).toEqual({});
  expect(timeoutOf({})).toBeNull();
  expect(attemptsOf({})).toBe(1);
  expect(attemptsOf({ retry: {} })).toBe(1);
  expect(catchUpWindowOf({})).toBe(day);
  expect(jitterOf({})).toBe(0);
  expect(retryDelayAfter({}, 1)).toBe(0);
});

test('what is set is what is answered, as written', () => {
  const all = policies.parse({
    ...{ timeout: '90s', retry: { attempts: 10, delay: '0', backoff: 1.5 }, overlap: 'queue', catchUp: 'all' },
    ...{ catchUpWindow: '2h', jitter: '300s', priority: 0, notify: { on: ['start', 'error'] } },
  });
  expect(all).toMatchObject({ timeout: '90s', catchUpWindow: '2h', jitter: '300s', priority: 0 });
  expect(timeoutOf(all)).toBe(90_000);
  expect(attemptsOf(all)).toBe(10);
  expect(catchUpWindowOf(all)).toBe(7_200_000);
  expect(jitterOf(all)).toBe(300_000);
});

describe('the delay before the next attempt', () => {
  test.each([
    [{ delay: '10s' }, [10_000, 10_000, 10_000]],
    [{ delay: '10s', backoff: 2 }, [10_000, 20_000, 40_000]],
    [{ delay: '1s', backoff: 1.5 }, [1_000, 1_500, 2_250]],
    [{ backoff: 10 }, [0, 0, 0]],
    [{ delay: '1d', backoff: 10 }, [day, 7 * day, 7 * day]],
  ])('%j', (retry, delays) => {
    expect([1, 2, 3].map((attempt) => retryDelayAfter({ retry }, attempt))).toEqual(delays);
  });
});

test.each<[unknown, PropertyKey[]]>([
  [{ timeout: '0' }, ['timeout']],
  [{ timeout: '366d' }, ['timeout']],
  [{ timeout: 90 }, ['timeout']],
  [{ retry: { attempts: 0 } }, ['retry', 'attempts']],
  [{ retry: { attempts: 11 } }, ['retry', 'attempts']],
  [{ retry: { attempts: 1.5 } }, ['retry', 'attempts']],
  [{ retry: { delay: '8d' } }, ['retry', 'delay']],
  [{ retry: { backoff: 0.5 } }, ['retry', 'backoff']],
  [{ retry: { backoff: 11 } }, ['retry', 'backoff']],
  [{ retry: { backoff: Infinity } }, ['retry', 'backoff']],
  [{ retry: { times: 2 } }, ['retry']],
  [{ overlap: 'queue_one' }, ['overlap']],
  [{ catchUp: 'none' }, ['catchUp']],
  [{ catchUpWindow: '999ms' }, ['catchUpWindow']],
  [{ catchUpWindow: '367d' }, ['catchUpWindow']],
  [{ jitter: '301s' }, ['jitter']],
  [{ priority: -1 }, ['priority']],
  [{ priority: 11 }, ['priority']],
  [{ priority: 5.5 }, ['priority']],
  [{ notify: { on: ['sometimes'] } }, ['notify', 'on', 0]],
  [{ notify: { on: 'error' } }, ['notify', 'on']],
  [{ notify: {} }, ['notify', 'on']],
  [{ retries: 2 }, []],
])('refused: %j', (value, path) => {
  expect(policies.safeParse(value).error?.issues[0]?.path).toEqual(path);
});
