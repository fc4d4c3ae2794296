import { describe, expect, test } from '@jest/globals';
import { type ProcessEvent } from '../process/process.events.js';
import { type RunEvent } from '../run/run.events.js';
import { activityOf, activityOfNotice, foldSource, type ActivityEvent, type ActivitySource } from './activity.js';

const at = '2026-05-01T10:00:05.000Z';
const by = { by: 'ann', at };
const settings = { name: 'nightly', description: null, action: { kind: 'noop' as const }, triggers: [], policies: {} };
const defined: ProcessEvent = { type: 'ProcessDefined', data: { ...settings, number: 3, owner: 'ann', ...by } };
const revised: ProcessEvent = { type: 'ProcessRevised', data: { ...settings, name: 'daily', revision: 2, ...by } };
const requested = (process: object | null): RunEvent =>
  ({ type: 'RunRequested', data: { name: 'r', process, owner: 'bob', requestedAt: at } }) as unknown as RunEvent;
const ofProcess = requested({ id: 'p', number: 3, name: 'nightly', revision: 1 });
const started: RunEvent = {
  type: 'RunStarted',
  data: { attempt: 2, epoch: '1', executor: 'x', server: 'h', at: '2026-05-01T10:00:03.766Z' },
};
const end = { attempt: 2, at, exitCode: 0, signal: null, output: null };

const sourceAfter = (id: string, ...events: ActivityEvent[]) =>
  events.reduce((known: ActivitySource | null, event) => foldSource(known, id, event), null);

test('word of a run makes an entry where the run has a process', () => {
  const what = {
    run: 'r',
    process: 'p',
    owner: 'ann',
    channel: 'mail',
    title: 'Task Failed',
    at,
    attempts: 3,
    answer: '250',
  };
  const metadata = { channel: 'mail', title: 'Task Failed', attempts: 3, answer: '250' };
  const sent = { type: 'notification_sent', message: "Notification 'Task Failed' sent by mail", metadata, at };
  expect(activityOfNotice({ type: 'NotificationSent', data: what })).toEqual(sent);
  expect(activityOfNotice({ type: 'NotificationFailed', data: what })).toEqual({
    ...sent,
    ...{ type: 'notification_error', message: "Notification 'Task Failed' could not be sent by mail" },
  });
  expect(activityOfNotice({ type: 'NotificationSent', data: { ...what, process: null } })).toBeNull();
});

describe('the source', () => {
  test('of a process: its owner and newest name', () => {
    expect(sourceAfter('p', defined)).toEqual({ owner: 'ann', process: 'p', name: 'nightly', startedAt: null });
    expect(sourceAfter('p', defined, revised)).toMatchObject({ name: 'daily' });
  });

  test('of a run: its process, the process’s owner where he is known, and when it began', () => {
    expect(sourceAfter('r', ofProcess)).toEqual({ owner: 'bob', process: 'p', name: 'nightly', startedAt: null });
    expect(foldSource(null, 'r', ofProcess, 'ann')).toMatchObject({ owner: 'ann' });
    expect(sourceAfter('r', ofProcess, started)).toMatchObject({ startedAt: '2026-05-01T10:00:03.766Z' });
  });

  test('a run without a process has none, nor has what has no beginning', () => {
    expect(sourceAfter('r', requested(null), started)).toBeNull();
    expect(sourceAfter('r', started)).toBeNull();
    expect(sourceAfter('p', revised)).toBeNull();
  });
});

describe('the entries', () => {
  const source: ActivitySource = {
    owner: 'ann',
    process: 'p',
    name: 'Daily Backup',
    startedAt: '2026-05-01T10:00:03.766Z',
  };
  const disabled: ProcessEvent = { type: 'ProcessDisabled', data: { reason: null, until: null, ...by } };
  const times = { duration: 1_234, attempt: 2 };
  const cases: [ActivityEvent, string, string, object][] = [
    [defined, 'task_created', 'created', {}],
    [revised, 'task_updated', 'updated', { revision: 2 }],
    [{ type: 'ProcessEnabled', data: by }, 'task_updated', 'enabled', {}],
    [disabled, 'task_updated', 'disabled', {}],
    [{ type: 'ProcessRetired', data: by }, 'task_deleted', 'deleted', {}],
    [started, 'task_start', 'started', { attempt: 2 }],
    [{ type: 'RunSucceeded', data: end }, 'task_complete', 'completed successfully', { ...times, exit_code: 0 }],
    [
      { type: 'RunFailed', data: { ...end, exitCode: 3, reason: 'exit code 3' } },
      ...(['task_error', 'failed: exit code 3', { ...times, exit_code: 3, error: 'exit code 3' }] as const),
    ],
    [
      { type: 'RunTimedOut', data: { ...end, exitCode: null, signal: 'SIGKILL', reason: 'timed out after 1h' } },
      'task_error',
      'failed: timed out after 1h',
      { ...times, exit_code: null, signal: 'SIGKILL', error: 'timed out after 1h' },
    ],
    [
      { type: 'RunLost', data: { attempt: 2, at, reason: 'lost' } },
      ...(['task_error', 'failed: lost', { ...times, exit_code: null, error: 'lost' }] as const),
    ],
    [
      { type: 'RunCancelled', data: { ...end, exitCode: null, by: 'ann', reason: null } },
      ...(['task_error', 'was cancelled', { ...times, exit_code: null, error: 'cancelled' }] as const),
    ],
    [
      { type: 'RunRetryScheduled', data: { attempt: 3, dueAt: at, at } },
      ...(['task_retry', 'is tried again: attempt 3', { attempt: 3 }] as const),
    ],
    [
      { type: 'RunForceCompleted', data: { status: 'succeeded', attempt: 2, replaces: [], ...by } },
      ...(['task_complete', 'was marked as succeeded', { attempt: 2 }] as const),
    ],
    [
      { type: 'RunForceCompleted', data: { status: 'failed', attempt: 2, replaces: [], ...by } },
      ...(['task_error', 'was marked as failed', { attempt: 2 }] as const),
    ],
  ];
  test.each(cases)('%j', (event, type, what, metadata) => {
    const message = `Task 'Daily Backup' ${what}`;
    const instant = (event.data as { at: string }).at;
    expect(activityOf(source, event)).toEqual({ type, message, metadata, at: instant });
  });

  test('whoever is cancelled while he waits took no time', () => {
    const event: RunEvent = {
      type: 'RunCancelled',
      data: { ...end, attempt: 0, exitCode: null, by: 'ann', reason: 'no' },
    };
    const entry = activityOf({ ...source, startedAt: null }, event);
    expect(entry).toMatchObject({ message: `Task 'Daily Backup' was cancelled: no`, metadata: { duration: null } });
  });

  test('what is no news makes none', () => {
    expect(activityOf(source, ofProcess)).toBeNull();
    expect(activityOf(source, { type: 'RunProgressed', data: { attempt: 2, at } })).toBeNull();
    expect(activityOf(source, { type: 'RunPurged', data: by })).toBeNull();
    const newer: RunEvent = JSON.parse('{"type":"RunBlessed","data":{}}');
    expect(activityOf(source, newer)).toBeNull();
  });
});
