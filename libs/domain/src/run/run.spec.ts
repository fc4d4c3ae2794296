import { describe, expect, test } from '@jest/globals';
import { given } from '#testing';
import { type Meta } from '../decider.js';
import { type Policies } from '../policies.js';
import { type RunEvent, type RunEventOf } from './run.events.js';
import { isOver, run, runStatuses, type Outcome, type RunCommand } from './run.js';

const now = '2026-05-01T10:00:09.000Z';
const meta = (actor = 'ann'): Meta => ({ now, actor, correlationId: 'c', commandId: 'o' });

const born = {
  ...{ number: 7, name: 'nightly', process: null, action: { kind: 'noop' as const }, policies: {}, priority: 5 },
  ...{ owner: 'ann', batch: null, scheduledFor: null, retryOf: null, parameters: null, payload: null },
};
const requested = (policies: Policies = {}): RunEvent => ({
  type: 'RunRequested',
  data: { ...born, policies, requestedAt: '2026-05-01T10:00:00.000Z' },
});
const at = '2026-05-01T10:00:05.000Z';
const held: RunEvent = { type: 'RunHeld', data: { reason: 'paused', until: null, at } };
const skipped: RunEvent = { type: 'RunSkipped', data: { reason: 'overlap', cause: null, at } };
const started = (attempt = 1): RunEvent => ({
  type: 'RunStarted',
  data: { attempt, epoch: `e${attempt}`, executor: 'x', server: 'host', at },
});
const stopping: RunEvent = { type: 'RunCancelRequested', data: { by: 'bob', reason: 'too long', at } };
const nothing = { exitCode: null, signal: null, output: null };
const lost = (attempt = 1, reason = 'its executor died', when = at): RunEvent => ({
  type: 'RunLost',
  data: { attempt, at: when, reason },
});
const again = (attempt: number, dueAt = now, when = now): RunEvent => ({
  type: 'RunRetryScheduled',
  data: { attempt, dueAt, at: when },
});
const output = { bytes: 9, stored: 9, truncated: false, sha256: 'ab' };
const ending = { attempt: 1, at: now, exitCode: 0, signal: null, output };
const failed = (data: Partial<RunEventOf<'RunFailed'>['data']> = {}): RunEvent => ({
  type: 'RunFailed',
  data: { ...ending, exitCode: 1, reason: 'exit code 1', ...data },
});
const succeeded: RunEvent = { type: 'RunSucceeded', data: ending };
const timedOut: RunEvent = { type: 'RunTimedOut', data: { ...ending, ...nothing, reason: 'timed out after 1h' } };
const cancelled: RunEvent = { type: 'RunCancelled', data: { ...ending, ...nothing, by: 'bob', reason: null } };

const request: RunCommand = { type: 'RequestRun', meta: meta(), data: { ...born } };
const cancel = (actor = 'ann', any = false): RunCommand => ({
  type: 'CancelRun',
  meta: meta(actor),
  data: { reason: 'enough', any },
});
const finish = (outcome: Partial<Outcome>, attempt = 1, epoch = `e${attempt}`): RunCommand => ({
  type: 'FinishRun',
  meta: meta('system'),
  data: { attempt, epoch, outcome: { exitCode: null, signal: null, killed: null, error: null, output, ...outcome } },
});
const lose = (attempt = 1, epoch = `e${attempt}`): RunCommand => ({
  type: 'LoseRun',
  meta: meta('system'),
  data: { attempt, epoch, reason: 'its executor died' },
});
const report = (attempt = 1, epoch = `e${attempt}`): RunCommand => ({
  type: 'ReportProgress',
  meta: meta('system'),
  data: { attempt, epoch, progress: 40, message: 'half' },
});
const late = (outcome: string, attempt = 1): RunEvent => ({
  type: 'RunLateReported',
  data: { attempt, epoch: `e${attempt}`, at: now, outcome },
});
const thrice: Policies = { retry: { attempts: 3, delay: '10s', backoff: 2 } };

describe('request', () => {
  test('a new run is requested, at the order’s instant', () => {
    given(run, [])
      .when(request)
      .then([{ type: 'RunRequested', data: { ...born, requestedAt: now } }]);
  });

  test('one that has nothing to do is over with its request', () => {
    const atOnce = { epoch: 'e1', executor: 'x', server: 'host' };
    const begun: RunEvent = { type: 'RunStarted', data: { attempt: 1, ...atOnce, at: now } };
    const over: RunEvent = { type: 'RunSucceeded', data: { ...ending, output: null } };
    given(run, [])
      .when({ ...request, data: { ...born, atOnce } })
      .then([{ type: 'RunRequested', data: { ...born, requestedAt: now } }, begun, over]);
    given(run, [requested()])
      .when({ ...request, data: { ...born, atOnce } })
      .then([]);
  });

  test('a repeat adds nothing, whatever became of the run', () => {
    given(run, [requested()]).when(request).then([]);
    given(run, [requested(), started(), succeeded]).when(request).then([]);
  });
});

describe('cancel', () => {
  const waitingEnd: RunEvent = {
    type: 'RunCancelled',
    data: { attempt: 0, at: now, ...nothing, by: 'ann', reason: 'enough' },
  };

  test('a run that does not exist, and one that is not his, are the same to the asker', () => {
    given(run, []).when(cancel()).thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, []).when(cancel('root', true)).thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested()]).when(cancel('eve')).thenRefused('not-found', 'RUN_NOT_FOUND');
    given(run, [requested(), started(), succeeded]).when(cancel('eve')).thenRefused('not-found', 'RUN_NOT_FOUND');
  });

  test('a waiting run is cancelled at once', () => {
    given(run, [requested()]).when(cancel()).then([waitingEnd]);
    given(run, [requested(), held]).when(cancel()).then([waitingEnd]);
  });

  test('who may touch everybody’s cancels another’s, in his own name', () => {
    given(run, [requested()])
      .when(cancel('root', true))
      .then([{ type: 'RunCancelled', data: { attempt: 0, at: now, ...nothing, by: 'root', reason: 'enough' } }]);
  });

  test('a run waiting for its next attempt is cancelled at once, and names the last attempt', () => {
    given(run, [requested(thrice), started(), failed(), again(2)])
      .when(cancel())
      .then([{ type: 'RunCancelled', data: { attempt: 1, at: now, ...nothing, by: 'ann', reason: 'enough' } }]);
  });

  test('a running run is only asked to stop, and only once', () => {
    given(run, [requested(), started()])
      .when(cancel())
      .then([{ type: 'RunCancelRequested', data: { by: 'ann', at: now, reason: 'enough' } }]);
    given(run, [requested(), started(), stopping]).when(cancel()).then([]);
  });

  test.each([succeeded, failed(), timedOut, cancelled, lost()])('a run that is over stays so: $type', (end) => {
    given(run, [requested(), started(), end]).when(cancel()).thenRefused('conflict', 'RUN_OVER');
  });

  test('a skipped run is over too', () => {
    given(run, [requested(), skipped]).when(cancel()).thenRefused('conflict', 'RUN_OVER');
  });
});

describe('progress', () => {
  test('the attempt that holds the run is heard; its epoch is not kept', () => {
    given(run, [requested(), started()])
      .when(report())
      .then([{ type: 'RunProgressed', data: { attempt: 1, progress: 40, message: 'half', at: now } }]);
  });

  test.each([
    ['before it starts', [requested()], report()],
    ['of a former attempt', [requested(thrice), started(), failed(), again(2), started(2)], report(1)],
    ['with another epoch', [requested(), started()], report(1, 'e9')],
    ['with another number', [requested(), started()], report(2, 'e1')],
    ['after the end', [requested(), started(), succeeded], report()],
  ])('nothing %s', (_, past, command) => {
    given(run, past).when(command).then([]);
  });
});

describe('finish', () => {
  const running = [requested(), started()];

  test('exit code 0 is success', () => {
    given(run, running)
      .when(finish({ exitCode: 0 }))
      .then([succeeded]);
  });

  test('another exit code is a failure, and says which', () => {
    given(run, running)
      .when(finish({ exitCode: 3 }))
      .then([failed({ exitCode: 3, reason: 'exit code 3' })]);
  });

  test('a signal is named and leaves no exit code', () => {
    given(run, running)
      .when(finish({ signal: 'SIGSEGV' }))
      .then([failed({ exitCode: null, signal: 'SIGSEGV', reason: 'ended by SIGSEGV' })]);
  });

  test('what could not run or be recorded failed, even with exit code 0', () => {
    given(run, running)
      .when(finish({ exitCode: 127, error: 'command not found: x', output: null }))
      .then([failed({ exitCode: 127, output: null, reason: 'command not found: x' })]);
    given(run, running)
      .when(finish({ exitCode: 0, error: 'the disk is full' }))
      .then([failed({ exitCode: 0, reason: 'the disk is full' })]);
  });

  test('a timeout says after how long, and which processes no signal ended', () => {
    const timeout = (reason: string, more = {}): RunEvent => ({
      type: 'RunTimedOut',
      data: { ...ending, exitCode: null, signal: 'SIGKILL', reason, ...more },
    });
    given(run, [requested({ timeout: '90s' }), started()])
      .when(finish({ signal: 'SIGKILL', killed: 'timeout', survivors: [] }))
      .then([timeout('timed out after 90s')]);
    given(run, running)
      .when(finish({ signal: 'SIGKILL', killed: 'timeout', survivors: [41] }))
      .then([timeout('timed out after its limit', { survivors: [41] })]);
  });

  test('killed for a cancel: cancelled by whoever asked, whatever the exit code', () => {
    const end = (data: Partial<RunEventOf<'RunCancelled'>['data']>): RunEvent => ({
      type: 'RunCancelled',
      data: { ...ending, exitCode: null, by: 'bob', reason: 'too long', ...data },
    });
    given(run, [...running, stopping])
      .when(finish({ signal: 'SIGTERM', killed: 'cancel' }))
      .then([end({ signal: 'SIGTERM' })]);
    given(run, [...running, stopping])
      .when(finish({ exitCode: 0, killed: 'cancel', survivors: [41, 42] }))
      .then([end({ exitCode: 0, survivors: [41, 42] })]);
  });

  test('a kill that nobody asked for is a failure', () => {
    given(run, running)
      .when(finish({ signal: 'SIGTERM', killed: 'cancel' }))
      .then([failed({ exitCode: null, signal: 'SIGTERM', reason: 'killed: cancel' })]);
  });

  test('asked to stop but ended by itself: it is what it came to', () => {
    given(run, [...running, stopping])
      .when(finish({ exitCode: 0 }))
      .then([succeeded]);
    given(run, [...running, stopping])
      .when(finish({ exitCode: 1 }))
      .then([failed()]);
  });

  test('stopped by its executor, not by anybody’s wish: lost', () => {
    given(run, running)
      .when(finish({ signal: 'SIGKILL', killed: 'fenced' }))
      .then([lost(1, 'its executor was out of reach', now)]);
    given(run, running)
      .when(finish({ signal: 'SIGTERM', killed: 'shutdown' }))
      .then([lost(1, 'its executor was stopped', now)]);
  });

  test('a run that does not exist', () => {
    given(run, [])
      .when(finish({ exitCode: 0 }))
      .thenRefused('not-found', 'RUN_NOT_FOUND');
  });
});

describe('reports that come again or too late', () => {
  test('the same report again adds nothing, even once the next attempt is due', () => {
    given(run, [requested(), started(), succeeded])
      .when(finish({ exitCode: 0 }))
      .then([]);
    given(run, [requested(thrice), started(), failed(), again(2)])
      .when(finish({ exitCode: 1 }))
      .then([]);
  });

  test.each([
    ['after the verdict', [lost()]],
    ['while the next attempt waits', [lost(), again(2)]],
    ['while the next attempt runs', [lost(), again(2), started(2)]],
    ['after the next attempt has won', [lost(), again(2), started(2), succeeded]],
    ['after a cancel of the wait', [lost(), again(2), cancelled]],
  ])('of an attempt that was lost: kept, and changes nothing (%s)', (_, since) => {
    const past = [requested(thrice), started(), ...since];
    given(run, past)
      .when(finish({ exitCode: 0 }))
      .then([late('exit code 0')]);
    const before = past.reduce(run.evolve, run.initial);
    expect(run.evolve(before, late('exit code 0'))).toEqual(before);
  });

  test('of an attempt with a stale epoch', () => {
    given(run, [requested(), started()])
      .when(finish({ exitCode: 0 }, 1, 'e0'))
      .then([{ type: 'RunLateReported', data: { attempt: 1, epoch: 'e0', at: now, outcome: 'exit code 0' } }]);
  });

  test.each([
    [{ error: 'command not found: x' }, 'command not found: x'],
    [{ killed: 'fenced' as const, signal: 'SIGKILL' }, 'killed: fenced'],
    [{ signal: 'SIGSEGV' }, 'ended by SIGSEGV'],
    [{ exitCode: 4 }, 'exit code 4'],
  ])('%j is told as %s', (outcome, words) => {
    given(run, [requested(), started(), lost()])
      .when(finish(outcome))
      .then([late(words)]);
  });
});

describe('lose', () => {
  test('a running attempt is lost', () => {
    given(run, [requested(), started()])
      .when(lose())
      .then([lost(1, 'its executor died', now)]);
  });

  test('and tried again where the policy says so', () => {
    given(run, [requested({ retry: { attempts: 2 } }), started()])
      .when(lose())
      .then([lost(1, 'its executor died', now), again(2)]);
  });

  test.each([
    ['absent', []],
    ['queued', [requested()]],
    ['over', [requested(), started(), succeeded]],
    ['already lost', [requested(), started(), lost()]],
    ['waiting again', [requested(thrice), started(), lost(), again(2)]],
    ['another attempt', [requested(thrice), started(), lost(), again(2), started(2)]],
  ])('a run that the attempt does not hold is not lost: %s', (_, past: RunEvent[]) => {
    given(run, past).when(lose()).then([]);
  });

  test('nor one held under another epoch or number', () => {
    given(run, [requested(), started()]).when(lose(1, 'e9')).then([]);
    given(run, [requested(), started()]).when(lose(2, 'e1')).then([]);
  });
});

describe('retry', () => {
  const soon = (seconds: number) => new Date(Date.parse(now) + seconds * 1_000).toISOString();

  test('the delay grows with each attempt, and the last one is not repeated', () => {
    const first = [requested(thrice), started()];
    const second = [...first, failed(), again(2, soon(10)), started(2)];
    const third = [...second, failed({ attempt: 2 }), again(3, soon(20)), started(3)];
    given(run, first)
      .when(finish({ exitCode: 1 }))
      .then([failed(), again(2, soon(10))]);
    given(run, second)
      .when(finish({ exitCode: 1 }, 2))
      .then([failed({ attempt: 2 }), again(3, soon(20))]);
    given(run, third)
      .when(finish({ exitCode: 1 }, 3))
      .then([failed({ attempt: 3 })]);
  });

  test('a timed-out and a fenced attempt are repeated as well', () => {
    const past = [requested({ timeout: '1h', retry: { attempts: 2 } }), started()];
    given(run, past)
      .when(finish({ killed: 'timeout', output: null }))
      .then([timedOut, again(2)]);
    given(run, past)
      .when(finish({ killed: 'fenced' }))
      .then([lost(1, 'its executor was out of reach', now), again(2)]);
  });

  test.each([
    ['failed by itself', finish({ exitCode: 1 }), [failed()]],
    ['timed out', finish({ killed: 'timeout', output: null }), [timedOut]],
    ['fenced', finish({ killed: 'fenced' }), [lost(1, 'its executor was out of reach', now)]],
    ['lost', lose(), [lost(1, 'its executor died', now)]],
  ])('nothing is repeated once somebody has asked it to stop: %s', (_, command, events) => {
    given(run, [requested({ ...thrice, timeout: '1h' }), started(), stopping])
      .when(command)
      .then(events);
  });
});

test('a status is over or it is not', () => {
  expect(runStatuses.filter((status) => !isOver(status))).toEqual(['queued', 'held', 'running']);
  expect(isOver('absent')).toBe(false);
});
