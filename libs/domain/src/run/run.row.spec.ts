import { expect, test } from '@jest/globals';
import { type ForcedStatus, type RunEvent, type RunRequested } from './run.events.js';
import { foldRun, type RunRow } from './run.row.js';

const id = '0197a3c0-0000-7000-8000-000000000001';
const at = '2026-05-01T10:00:05.000Z';
const birth: RunRequested = {
  ...{ number: 7, name: 'nightly', process: { id: 'p', number: 3, name: 'nightly', revision: 2 } },
  ...{
    action: { kind: 'noop' },
    policies: { timeout: '1h' },
    priority: 6,
    owner: 'ann',
    batch: 'b',
    scheduledFor: '2026-05-01T10:00:00.000Z',
  },
  ...{ retryOf: null, parameters: null, payload: { any: ['thing'] }, requestedAt: '2026-05-01T10:00:01.000Z' },
};
const requested: RunEvent = { type: 'RunRequested', data: birth };
const queued: RunRow = {
  ...{ id, number: 7, name: 'nightly', process: { id: 'p', number: 3, name: 'nightly', revision: 2 } },
  ...{ action: { kind: 'noop' }, policies: { timeout: '1h' }, status: 'queued', reason: null, attempt: 0, priority: 6 },
  ...{
    owner: 'ann',
    batch: 'b',
    server: null,
    scheduledFor: '2026-05-01T10:00:00.000Z',
    requestedAt: '2026-05-01T10:00:01.000Z',
  },
  parameters: null,
  ...{ startedAt: null, finishedAt: null, exitCode: null, signal: null, ops: 0, progress: null, message: null },
  ...{ output: null, payload: { any: ['thing'] } },
};
const started = (attempt = 1): RunEvent => ({
  type: 'RunStarted',
  data: { attempt, epoch: 'e', executor: 'x', server: 'host', at },
});
const running: Partial<RunRow> = { status: 'running', attempt: 1, server: 'host', startedAt: at };
const finishedAt = '2026-05-01T10:00:09.000Z';
const output = { bytes: 9, stored: 8, truncated: true, sha256: 'ab' };
const ending = { attempt: 1, at: finishedAt, exitCode: 0, signal: null, output };
const failed = { type: 'RunFailed', data: { ...ending, exitCode: 1, reason: 'exit code 1' } } satisfies RunEvent;
const forced = (status: ForcedStatus): RunEvent => ({
  type: 'RunForceCompleted',
  data: { status, attempt: 1, by: 'bob', at: finishedAt, replaces: [] },
});
const progressed: RunEvent = {
  type: 'RunProgressed',
  data: { attempt: 1, at, progress: 40, ops: 81, message: 'half' },
};

/** Deep, so that a fold that writes into what it was given throws. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}

const rowOf = (...events: RunEvent[]) =>
  frozen(events).reduce((row: RunRow | null, event) => frozen(foldRun(row, id, event)), null);

test('a request makes the row', () => {
  expect(rowOf(requested)).toEqual(queued);
});

const cases: [string, RunEvent[], Partial<RunRow>][] = [
  ['held', [{ type: 'RunHeld', data: { reason: 'paused', until: null, at } }], { status: 'held', reason: 'paused' }],
  [
    'skipped',
    [{ type: 'RunSkipped', data: { reason: 'overlap', cause: null, at } }],
    { status: 'skipped', reason: 'overlap', finishedAt: at },
  ],
  ['started', [started()], running],
  ['progress', [started(), progressed], { ...running, progress: 40, ops: 81, message: 'half' }],
  [
    'progress that says less keeps the rest',
    [started(), progressed, { type: 'RunProgressed', data: { attempt: 1, at, progress: 0, ops: 0 } }],
    { ...running, progress: 0, ops: 0, message: 'half' },
  ],
  [
    'asked to stop: still running',
    [started(), { type: 'RunCancelRequested', data: { by: 'bob', at, reason: null } }],
    running,
  ],
  [
    'succeeded',
    [started(), { type: 'RunSucceeded', data: ending }],
    { ...running, status: 'succeeded', finishedAt, exitCode: 0, output },
  ],
  [
    'failed',
    [started(), failed],
    { ...running, status: 'failed', finishedAt, exitCode: 1, output, reason: 'exit code 1' },
  ],
  [
    'timed out',
    [
      started(),
      {
        type: 'RunTimedOut',
        data: { ...ending, exitCode: null, signal: 'SIGKILL', reason: 'timed out after 1s', survivors: [4] },
      },
    ],
    { ...running, status: 'timed-out', finishedAt, signal: 'SIGKILL', output, reason: 'timed out after 1s' },
  ],
  [
    'cancelled with a reason',
    [
      started(),
      { type: 'RunCancelled', data: { ...ending, exitCode: null, signal: 'SIGTERM', by: 'bob', reason: 'too long' } },
    ],
    { ...running, status: 'cancelled', finishedAt, signal: 'SIGTERM', output, reason: 'too long' },
  ],
  [
    'cancelled without one, before it started',
    [
      {
        type: 'RunCancelled',
        data: { attempt: 0, at, exitCode: null, signal: null, output: null, by: 'bob', reason: null },
      },
    ],
    { status: 'cancelled', finishedAt: at, reason: 'cancelled' },
  ],
  [
    'lost',
    [started(), { type: 'RunLost', data: { attempt: 1, at: finishedAt, reason: 'its executor died' } }],
    { ...running, status: 'lost', finishedAt, reason: 'its executor died' },
  ],
  [
    'waiting for the next attempt: not finished, and the reason stays',
    [started(), failed, { type: 'RunRetryScheduled', data: { attempt: 2, dueAt: finishedAt, at: finishedAt } }],
    { ...running, status: 'queued', exitCode: 1, output, reason: 'exit code 1' },
  ],
  [
    'the next attempt starts with nothing of the last',
    [
      started(),
      progressed,
      failed,
      { type: 'RunRetryScheduled', data: { attempt: 2, dueAt: finishedAt, at: finishedAt } },
      started(2),
    ],
    { ...running, attempt: 2 },
  ],
  [
    'a late report changes nothing',
    [started(), { type: 'RunLateReported', data: { attempt: 1, epoch: 'e', at, outcome: 'exit code 0' } }],
    running,
  ],
  ['forced to its end while it waits', [forced('failed')], { status: 'failed', finishedAt, reason: 'force-completed' }],
  [
    'forced while it runs: finished now, and nobody saw how it ended',
    [started(), forced('cancelled')],
    { ...running, status: 'cancelled', finishedAt, reason: 'force-completed' },
  ],
  [
    'another verdict than its end: the end’s instant, exit code and output stay',
    [started(), { ...failed, data: { ...failed.data, at } }, forced('succeeded')],
    { ...running, status: 'succeeded', finishedAt: at, exitCode: 1, output },
  ],
];

test.each(cases)('%s', (_, events, change) => {
  expect(rowOf(requested, ...events)).toEqual({ ...queued, ...change });
});

test.each(cases)('without its birth there is no row: %s', (_, events) => {
  expect(rowOf(...events)).toBeNull();
});

test('a purge ends the row, and nothing brings it back', () => {
  const purged: RunEvent = { type: 'RunPurged', data: { by: 'ann', at } };
  const late: RunEvent = { type: 'RunLateReported', data: { attempt: 1, epoch: 'e', at, outcome: 'exit code 0' } };
  expect(rowOf(requested, started(), failed, purged)).toBeNull();
  expect(rowOf(requested, started(), failed, purged, late)).toBeNull();
});

test('an event of a newer version leaves the row as it is', () => {
  const newer: RunEvent = JSON.parse('{"type":"RunTeleported","data":{"at":"2027-01-01T00:00:00.000Z"}}');
  expect(rowOf(requested, newer)).toEqual(queued);
  expect(rowOf(newer)).toBeNull();
});
