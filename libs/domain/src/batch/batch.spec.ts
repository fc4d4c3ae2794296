import { describe, expect, test } from '@jest/globals';
import { given } from '#testing';
import { fold, type Meta } from '../decider.js';
import { type BatchEvent } from './batch.events.js';
import { batch, batchRunId, overWithBirth, runsOfBatch, type BatchCommand } from './batch.js';

const now = '2026-05-01T10:00:09.000Z';
const by = (actor: string): Meta => ({ now, actor, correlationId: 'c', commandId: 'o' });
const stamp = (actor = 'ann') => ({ by: actor, at: now });
const asked = { name: 'nightly', description: null, total: 3, births: 3 };

const created: BatchEvent = { type: 'BatchCreated', data: { ...asked, owner: 'ann', at: '2026-05-01T09:00:00.000Z' } };
const joined = (run: string): BatchEvent => ({ type: 'BatchJoined', data: { run, ...stamp() } });
const deleted: BatchEvent = { type: 'BatchDeleted', data: stamp() };

const create = (actor = 'ann'): BatchCommand => ({ type: 'CreateBatch', meta: by(actor), data: asked });
const orders: Record<string, (actor: string, any?: boolean) => BatchCommand> = {
  join: (actor, any = false) => ({ type: 'JoinBatch', meta: by(actor), data: { any, run: 'r' } }),
  cancel: (actor, any = false) => ({ type: 'CancelBatch', meta: by(actor), data: { any, reason: 'late' } }),
  'force-complete': (actor, any = false) => ({
    ...{ type: 'ForceCompleteBatch', meta: by(actor), data: { any, status: 'failed' } },
  }),
  delete: (actor, any = false) => ({ type: 'DeleteBatch', meta: by(actor), data: { any, runs: 3 } }),
};
const facts: Record<string, (actor: string) => BatchEvent> = {
  join: (actor) => ({ type: 'BatchJoined', data: { run: 'r', ...stamp(actor) } }),
  cancel: (actor) => ({ type: 'BatchCancelRequested', data: { ...stamp(actor), reason: 'late' } }),
  'force-complete': (actor) => ({ type: 'BatchForceCompleted', data: { status: 'failed', ...stamp(actor) } }),
  delete: (actor) => ({ type: 'BatchDeleted', data: stamp(actor) }),
};

describe('create', () => {
  test('it belongs to whoever asks', () => {
    given(batch, [])
      .when(create('ben'))
      .then([{ type: 'BatchCreated', data: { ...asked, owner: 'ben', at: now } }]);
  });

  test('a repeat adds nothing, whoever asks and whatever became of it', () => {
    given(batch, [created]).when(create()).then([]);
    given(batch, [created]).when(create('ben')).then([]);
    given(batch, [created, deleted]).when(create()).then([]);
  });
});

describe.each(Object.keys(orders))('%s', (name) => {
  const [order, fact] = [orders[name]!, facts[name]!];

  test('by its owner, and by whoever may touch all, in his own name', () => {
    given(batch, [created])
      .when(order('ann'))
      .then([fact('ann')]);
    given(batch, [created])
      .when(order('root', true))
      .then([fact('root')]);
  });

  test('for others it is as missing as one that never was, or one that is deleted', () => {
    given(batch, [created]).when(order('ben')).thenRefused('not-found', 'BATCH_NOT_FOUND');
    given(batch, []).when(order('root', true)).thenRefused('not-found', 'BATCH_NOT_FOUND');
    given(batch, []).when(order('')).thenRefused('not-found', 'BATCH_NOT_FOUND');
    given(batch, [created, deleted]).when(order('ann')).thenRefused('not-found', 'BATCH_NOT_FOUND');
    given(batch, [created, deleted]).when(order('root', true)).thenRefused('not-found', 'BATCH_NOT_FOUND');
  });
});

test('a run joins once', () => {
  given(batch, [created, joined('r')])
    .when(orders['join']!('ann'))
    .then([]);
  given(batch, [created, joined('q')])
    .when(orders['join']!('ann'))
    .then([facts['join']!('ann')]);
});

test('being asked to cancel or to force-complete leaves it open: each order is a fact of its own', () => {
  const before = [created, facts['cancel']!('ann'), facts['force-complete']!('ann')];
  for (const name of ['cancel', 'force-complete', 'delete', 'join']) {
    given(batch, before)
      .when(orders[name]!('ann'))
      .then([facts[name]!('ann')]);
  }
});

test('it is deleted with the runs that were purged for it, or not at all', () => {
  given(batch, [created, joined('q')])
    .when(orders['delete']!('ann'))
    .thenRefused('rejected', 'BATCH_NOT_OVER');
});

test('its runs are those it was made with, in their order, and then those that joined', () => {
  const state = fold(batch, [created, joined('q'), joined('r')]);
  const runs = runsOfBatch('b', state);
  expect(runs).toEqual([batchRunId('b', 0), batchRunId('b', 1), batchRunId('b', 2), 'q', 'r']);
  expect(new Set(runs).size).toBe(5);
});

test("a run's id follows from its batch and its place", () => {
  const ids = ['b', 'c'].flatMap((id) => [0, 1, 10, 11].map((i) => batchRunId(id, i)));
  expect(new Set(ids).size).toBe(8);
  expect(batchRunId('b', 11)).toBe(ids[3]);
});

test('an event of a newer version is passed over', () => {
  const state = fold(batch, [created]);
  expect(batch.evolve(state, JSON.parse('{"type":"BatchBlessed","data":{}}'))).toEqual(state);
});

test('its births tell how many of its runs needed no executor', () => {
  const born = (total: number, births: number) => overWithBirth({ ...asked, owner: 'ann', at: now, total, births });
  expect([born(3, 3), born(3, 5), born(3, 9)]).toEqual([0, 1, 3]);
});
