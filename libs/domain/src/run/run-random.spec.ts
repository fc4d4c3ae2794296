import { expect, test } from '@jest/globals';
import { Refusal } from '../refusal.js';
import { type Meta } from '../decider.js';
import { type RunEvent } from './run.events.js';
import { isOver, run, type Outcome, type Run, type RunCommand } from './run.js';

/** Random orders in random order, valid and stale ones, as executors, judges and people send them: what never happens. */
const rounds = 500;
const steps = 40;
const terminal = [
  ...['RunSucceeded', 'RunFailed', 'RunTimedOut', 'RunCancelled', 'RunLost', 'RunSkipped', 'RunForceCompleted'],
];
const silent = ['RunLateReported', 'RunPurged'];
const afterTheEnd = ['RunRetryScheduled', 'RunForceCompleted', ...silent];

type Dice = <T>(...sides: T[]) => T;

function diceOf(seed: number): Dice {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return <T>(...sides: T[]) => sides[Math.floor(next() * sides.length)]!;
}

const now = '2026-05-01T10:00:00.000Z';

function randomCommand(dice: Dice, state: Run, attempts: number): RunCommand {
  const meta: Meta = { now, actor: dice('ann', 'eve'), correlationId: 'c', commandId: 'o' };
  const attempt = dice(state.attempt, state.attempt, state.attempt, state.attempt - 1, state.attempt + 1);
  const epoch = dice(`e${attempt}`, `e${attempt}`, `e${attempt}`, 'e0');
  const born = {
    ...{ number: 1, name: 'x', process: null, action: { kind: 'noop' as const }, priority: 5, owner: 'ann' },
    ...{ batch: null, scheduledFor: null, retryOf: null, parameters: null, payload: null },
  };
  switch (
    dice(
      'request',
      'cancel',
      'progress',
      'finish',
      'finish',
      'finish',
      'lose',
      dice('finish', 'force'),
      dice('lose', 'purge'),
    )
  ) {
    case 'request':
      return { type: 'RequestRun', meta, data: { ...born, policies: { retry: { attempts } } } };
    case 'cancel':
      return { type: 'CancelRun', meta, data: { reason: null, any: dice(true, false) } };
    case 'progress':
      return { type: 'ReportProgress', meta, data: { attempt, epoch, progress: 1 } };
    case 'force':
      return { type: 'ForceCompleteRun', meta, data: { status: dice('succeeded', 'failed', 'cancelled'), any: true } };
    case 'purge':
      return { type: 'PurgeRun', meta, data: { any: dice(true, false) } };
    case 'lose':
      return { type: 'LoseRun', meta, data: { attempt, epoch, reason: 'gone' } };
    default:
      return { type: 'FinishRun', meta, data: { attempt, epoch, outcome: randomOutcome(dice) } };
  }
}

function randomOutcome(dice: Dice): Outcome {
  return {
    exitCode: dice(0, 0, 1, null),
    signal: dice(null, null, 'SIGTERM'),
    killed: dice(null, null, null, 'cancel', 'timeout', 'fenced', 'shutdown'),
    error: dice(null, null, null, 'broken'),
    output: null,
  };
}

/** What the claim appends in SQL: only to a run that waits. */
function claim(dice: Dice, state: Run): RunEvent[] {
  if (state.status !== 'queued' && state.status !== 'held') return [];
  const attempt = state.attempt + 1;
  const start = { attempt, epoch: `e${attempt}`, executor: 'x', server: 'host', at: now };
  return [
    dice<RunEvent>(
      ...Array<RunEvent>(6).fill({ type: 'RunStarted', data: start }),
      { type: 'RunHeld', data: { reason: 'paused', until: null, at: now } },
      { type: 'RunSkipped', data: { reason: 'overlap', cause: null, at: now } },
    ),
  ];
}

function decide(state: Run, command: RunCommand): RunEvent[] {
  try {
    return run.decide(state, command);
  } catch (error) {
    if (error instanceof Refusal) return [];
    throw error;
  }
}

function history(dice: Dice): RunEvent[] {
  const attempts = dice(1, 2, 3);
  const events: RunEvent[] = [];
  let state = run.initial;
  for (let step = 0; step < steps; step++) {
    const more = dice(true, false, false) ? claim(dice, state) : decide(state, randomCommand(dice, state, attempts));
    events.push(...more);
    state = more.reduce(run.evolve, state);
  }
  return events;
}

/** Reads the types alone, so that it shares nothing with the rules: the first thing wrong, or null. */
function wrongWith(events: RunEvent[]): string | null {
  let over = false;
  let running = false;
  let stopping = false;
  let purged = false;
  let forced = false;
  for (const [index, { type }] of events.entries()) {
    if ((type === 'RunRequested') !== (index === 0)) return 'not born exactly once, first';
    if (purged && type !== 'RunLateReported') return `${type} after the purge`;
    if (over && !afterTheEnd.includes(type)) return `${type} after the end`;
    if (type === 'RunPurged' && !over) return 'a purge of what is not over';
    if (type === 'RunSucceeded' && !running) return 'a success that never started';
    if (type === 'RunRetryScheduled' && (!over || stopping || forced))
      return 'a retry of what did not end, or was asked to stop';
    if (type === 'RunProgressed' && !running) return 'progress of what does not run';
    if (type === 'RunCancelRequested') stopping = true;
    if (type === 'RunForceCompleted') forced = true;
    if (type === 'RunPurged') purged = true;
    if (type === 'RunStarted') running = true;
    if (terminal.includes(type)) running = false;
    if (!silent.includes(type)) over = terminal.includes(type);
  }
  const last = events.filter(({ type }) => !silent.includes(type)).at(-1);
  const { status } = events.reduce(run.evolve, run.initial);
  return isOver(status) === (last !== undefined && terminal.includes(last.type))
    ? null
    : `${status} after ${last?.type}`;
}

test('no sequence of orders ends a run twice, or lets it succeed without a start', () => {
  const first = Number(process.env['RUN_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const seen = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    const seed = first + round;
    const events = history(diceOf(seed));
    for (const { type } of events) seen.add(type);
    const wrong = wrongWith(events);
    if (wrong) throw new Error(`RUN_SEED=${seed}: ${wrong}: ${events.map(({ type }) => type).join(' ')}`);
  }
  expect([...seen].sort()).toEqual(
    [
      ...terminal,
      ...['RunCancelRequested', 'RunHeld', 'RunLateReported', 'RunProgressed', 'RunPurged'],
      ...['RunRequested', 'RunRetryScheduled', 'RunStarted'],
    ].sort(),
  );
});
