import { describe, expect, test } from '@jest/globals';
import { endOf } from './ends.js';
import { type Run } from './shapes.js';

const run = (status: string, more: Partial<Run> = {}) =>
  ({ id: 'r', status, exitCode: null, signal: null, reason: null, ...more }) as Run;

describe('the exit code of a run', () => {
  test.each<[string, Run, number]>([
    ['0 when it succeeded', run('succeeded', { exitCode: 0 }), 0],
    ['0 when it succeeded without a command', run('succeeded'), 0],
    ["the command's own", run('failed', { exitCode: 42 }), 42],
    ['128 + n when a signal killed it', run('failed', { signal: 'SIGKILL' }), 137],
    ['1 when it could not start', run('failed', { reason: 'no such folder' }), 1],
    ['1 when it was cancelled, whatever signal was used', run('cancelled', { signal: 'SIGTERM' }), 1],
    ['1 when it was stopped in time and said 0', run('timed-out', { exitCode: 0 }), 1],
    ['1 when nobody saw its end', run('lost'), 1],
    ['1 when it was skipped', run('skipped'), 1],
  ])('is %s', (_, ended, code) => expect(endOf(ended).code).toBe(code));
});

test.each<[Run, string]>([
  [run('failed', { exitCode: 3 }), 'Run r failed with exit code 3.'],
  [run('failed', { signal: 'SIGSEGV' }), 'Run r failed: killed by SIGSEGV.'],
  [run('timed-out', { reason: 'longer than 1h' }), 'Run r timed out: longer than 1h.'],
  [run('cancelled'), 'Run r was cancelled.'],
])('%j is told', (ended, message) => expect(endOf(ended).message).toBe(message));
