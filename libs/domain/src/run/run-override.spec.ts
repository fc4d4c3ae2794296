import { describe, expect, test } from '@jest/globals';
import { given } from '#testing';
import { fold, type Meta } from '../decider.js';
import { type ForcedStatus, type RunEvent } from './run.events.js';
import { run, type ForceComplete, type RunCommand } from './run.js';

/** What a person may say over the platform's word: how a run ended, and that it is to be forgotten. */
const [at, now] = ['2026-05-01T10:00:05.000Z', '2026-05-01T10:00:09.000Z'];
const meta = (actor = 'ann'): Meta => ({ now, actor, correlationId: 'c', commandId: 'o' });
const policies = { retry: { attempts: 3 } };
const requested: RunEvent = {
  type: 'RunRequested',
  data: {
    ...{ number: 7, name: 'nightly', process: null, action: { kind: 'noop' }, policies, priority: 5, owner: 'ann' },
    ...{ batch: null, scheduledFor: null, retryOf: null, parameters: null, payload: null, requestedAt: at },
  },
};
const held: RunEvent = { type: 'RunHeld', data: { reason: 'paused', until: null, at } };
const skipped: RunEvent = { type: 'RunSkipped', data: { reason: 'overlap', cause: null, at } };
const started: RunEvent = {
  type: 'RunStarted',
  data: { attempt: 1, epoch: 'e1', executor: 'x', server: 'host', at },
};
const stopping: RunEvent = { type: 'RunCancelRequested', data: { by: 'bob', reason: null, at } };
const ending = { attempt: 1, at, exitCode: 1, signal: null, output: null };
const succeeded: RunEvent = { type: 'RunSucceeded', data: { ...ending, exitCode: 0 } };
const failed: RunEvent = { type: 'RunFailed', data: { ...ending, reason: 'exit code 1' } };
const cancelled: RunEvent = { type: 'RunCancelled', data: { ...ending, by: 'bob', reason: null } };
const timedOut: RunEvent = { type: 'RunTimedOut', data: { ...ending, reason: 'timed out after 1h' } };
const lost: RunEvent = { type: 'RunLost', data: { attempt: 1, at, reason: 'its executor died' } };
const again: RunEvent = { type: 'RunRetryScheduled', data: { attempt: 2, dueAt: now, at } };
const purged: RunEvent = { type: 'RunPurged', data: { by: 'ann', at } };
const forced = (status: ForcedStatus, attempt = 1, by = 'ann', replaces: ('stdout' | 'stderr')[] = []): RunEvent => ({
  type: 'RunForceCompleted',
  data: { status, attempt, by, at: now, replaces },
});
const force = (status: ForcedStatus, more: Partial<ForceComplete> = {}, actor = 'ann'): RunCommand => ({
  type: 'ForceCompleteRun',
  meta: meta(actor),
  data: { status, any: false, ...more },
});
const purge = (actor = 'ann', any = false): RunCommand => ({ type: 'PurgeRun', meta: meta(actor), data: { any } });
const cancel: RunCommand = { type: 'CancelRun', meta: meta(), data: { reason: null, any: false } };
const finish = (attempt = 1): RunCommand => ({
  type: 'FinishRun',
  meta: meta('system'),
  data: {
    ...{ attempt, epoch: `e${attempt}` },
    outcome: { exitCode: 0, signal: null, killed: null, error: null, output: null },
  },
});
const late: RunEvent = {
  type: 'RunLateReported',
  data: { attempt: 1, epoch: 'e1', at: now, outcome: 'exit code 0' },
};
const ends = [succeeded, failed, timedOut, cancelled, lost, skipped];

describe('force-complete', () => {
  test.each<ForcedStatus>(['succeeded', 'failed', 'cancelled'])('a waiting and a running run end at once: %s', (to) => {
    given(run, [requested])
      .when(force(to))
      .then([forced(to, 0)]);
    given(run, [requested, held])
      .when(force(to))
      .then([forced(to, 0)]);
    given(run, [requested, started])
      .when(force(to))
      .then([forced(to)]);
    given(run, [requested, started, stopping])
      .when(force(to))
      .then([forced(to)]);
    given(run, [requested, started, failed, again])
      .when(force(to))
      .then([forced(to)]);
    expect(fold(run, [requested, started, forced(to)]).status).toBe(to);
  });

  test.each(ends)('what is over is said anew, as often as somebody says it: $type', (end) => {
    const past = [requested, started, end];
    given(run, past)
      .when(force('succeeded'))
      .then([forced('succeeded')]);
    given(run, [...past, forced('succeeded')])
      .when(force('failed'))
      .then([forced('failed')]);
    expect(fold(run, [...past, forced('succeeded'), forced('failed')]).status).toBe('failed');
  });

  test('the streams whose output was given are named, empty ones too', () => {
    given(run, [requested])
      .when(force('failed', { stdout: '', stderr: 'x' }))
      .then([forced('failed', 0, 'ann', ['stdout', 'stderr'])]);
    given(run, [requested])
      .when(force('failed', { stderr: '' }))
      .then([forced('failed', 0, 'ann', ['stderr'])]);
  });

  test('its attempt is fenced: what it still reports is kept and changes nothing', () => {
    const past = [requested, started, forced('cancelled')];
    given(run, past).when(finish()).then([late]);
    given(run, past)
      .when({ type: 'LoseRun', meta: meta('system'), data: { attempt: 1, epoch: 'e1', reason: 'gone' } })
      .then([]);
    given(run, past)
      .when({ type: 'ReportProgress', meta: meta('system'), data: { attempt: 1, epoch: 'e1', ops: 1 } })
      .then([]);
    expect(fold(run, [...past, late]).status).toBe('cancelled');
  });

  test('a report that comes again after its own end was overridden adds nothing', () => {
    given(run, [requested, started, succeeded, forced('failed')])
      .when(finish())
      .then([]);
  });

  test('it is over: not cancelled, not retried', () => {
    given(run, [requested, started, forced('failed')])
      .when(cancel)
      .thenRefused('conflict', 'RUN_OVER');
  });

  test('another’s and a missing run are the same to the asker; who may touch everybody’s does so in his own name', () => {
    given(run, [])
      .when(force('failed', { any: true }, 'root'))
      .thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested])
      .when(force('failed', {}, 'eve'))
      .thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested, started, succeeded])
      .when(force('failed', {}, 'eve'))
      .thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested])
      .when(force('failed', { any: true }, 'root'))
      .then([forced('failed', 0, 'root')]);
  });
});

describe('purge', () => {
  test.each([...ends, forced('succeeded')])('what is over is purged once: $type', (end) => {
    const past = [requested, started, end];
    given(run, past)
      .when(purge())
      .then([{ type: 'RunPurged', data: { by: 'ann', at: now } }]);
    given(run, [...past, purged])
      .when(purge())
      .then([]);
  });

  test.each([
    ['queued', [requested]],
    ['held', [requested, held]],
    ['running', [requested, started]],
    ['waiting for its next attempt', [requested, started, failed, again]],
  ])('what is not over is refused: %s', (_, past: RunEvent[]) => {
    given(run, past).when(purge()).thenRefused('rejected', 'RUN_NOT_OVER');
  });

  test('another’s and a missing run are the same to the asker', () => {
    given(run, []).when(purge('root', true)).thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested, started]).when(purge('eve')).thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested, started, succeeded]).when(purge('eve')).thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested, started, succeeded])
      .when(purge('system', true))
      .then([{ type: 'RunPurged', data: { by: 'system', at: now } }]);
  });

  test('afterwards there is no such run, and what its attempt still reports changes nothing', () => {
    const past = [requested, started, forced('failed'), purged];
    given(run, past).when(cancel).thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, past)
      .when(force('succeeded', { any: true }))
      .thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, past).when(finish()).then([late]);
    given(run, [...past, late])
      .when(purge())
      .then([]);
  });
});
