import { describe, expect, test } from '@jest/globals';
import { foldRun, type Policies, type RunEvent, type RunRow, type RunStatus } from '#domain';
import { isFinal, isTaskRun, runFrames, type TaskRun } from './frames.js';

const at = '2026-05-01T10:00:05.000Z';
const end = { attempt: 1, at, exitCode: 0, signal: null, output: null };
const started: RunEvent = { type: 'RunStarted', data: { attempt: 1, epoch: '1', executor: 'x', server: 'h', at } };
const failed: RunEvent = { type: 'RunFailed', data: { ...end, exitCode: 3, reason: 'exit code 3' } };
const lost: RunEvent = { type: 'RunLost', data: { attempt: 1, at, reason: 'lost' } };

function runAfter(policies: Policies, ...events: RunEvent[]): TaskRun {
  const process = { id: 'p', number: 1, name: 'nightly', revision: 1 };
  const birth = {
    ...{ number: 1, name: 'nightly', process, action: { kind: 'noop' as const }, policies, owner: 'ann', batch: null },
    ...{ priority: policies.priority ?? 5, scheduledFor: null, retryOf: null, parameters: null, payload: null },
    requestedAt: at,
  };
  const requested: RunEvent = { type: 'RunRequested', data: birth };
  const row = [requested, ...events].reduce<RunRow | null>((known, event) => foldRun(known, 'r', event), null);
  if (!row || !isTaskRun(row)) throw new Error('no run of a task');
  return row;
}

describe('what is final', () => {
  const row = (status: RunStatus, attempts: number) => ({ ...runAfter({ retry: { attempts } }, started), status });

  test.each<[RunStatus, number, boolean]>([
    ['queued', 1, false],
    ['running', 1, false],
    ['succeeded', 3, true],
    ['failed', 1, true],
    ['failed', 2, false],
    ['timed-out', 2, false],
    ['lost', 2, false],
    ['cancelled', 2, true],
    ['skipped', 2, true],
  ])('%s of %i attempts: %s', (status, attempts, final) => {
    expect(isFinal(row(status, attempts), false)).toBe(final);
  });

  test('what somebody wants to end is not tried again', () => {
    expect(isFinal(row('failed', 2), true)).toBe(true);
    expect(isFinal(row('running', 2), true)).toBe(false);
  });
});

describe('notifications', () => {
  const noticeOf = (policies: Policies, event: RunEvent, final = true) =>
    runFrames(runAfter(policies, started, event), event, '7', final).find(({ type }) => type === 'notification')?.data;
  const on = (...occasions: NonNullable<Policies['notify']>['on']): Policies => ({ notify: { on: occasions } });

  test.each<[number, string]>([
    [2, 'high'],
    [5, 'high'],
    [8, 'high'],
    [10, 'urgent'],
  ])('a failure at priority %i is %s at least', (priority, word) => {
    expect(noticeOf({ ...on('error'), priority }, failed)).toMatchObject({ title: 'Task Failed', priority: word });
  });

  test('what is tried again has not failed, and starts once', () => {
    expect(noticeOf(on('always', 'start'), lost, false)).toBeUndefined();
    const again: RunEvent = { ...started, data: { ...started.data, attempt: 2 } };
    expect(noticeOf(on('start'), started, false)).toMatchObject({ title: 'Task Started' });
    expect(noticeOf(on('start'), again, false)).toBeUndefined();
  });

  test('never is never, and what says nothing wants none', () => {
    expect(noticeOf(on('always', 'never'), failed)).toBeUndefined();
    expect(noticeOf({}, failed)).toBeUndefined();
    expect(noticeOf(on('completion'), { type: 'RunSucceeded', data: end })).toMatchObject({
      ...{ title: 'Task Complete', message: "Task 'nightly' completed successfully", tags: ['check_mark'] },
    });
  });
});

test('what changes nothing is not told', () => {
  const late: RunEvent = { type: 'RunLateReported', data: { attempt: 1, epoch: '1', at, outcome: 'x' } };
  expect(runFrames(runAfter({}, started), late, '7', false)).toEqual([]);
});
