import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, eventually, startStack, type Client, type Stack } from '#testing';
import {
  define,
  ended,
  eventsOf,
  noop,
  outputOf,
  reaches,
  requestRun,
  runToEnd,
  runsOf,
  sh,
  started,
  type Run,
} from './native.harness.js';

const slots = 3;
let stack: Stack;
let admin: Client;
beforeAll(async () => {
  stack = await startStack(topology, { RUNLEDGER_EXECUTOR_SLOTS: String(slots), RUNLEDGER_KILL_GRACE_SECONDS: '1' });
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const secondly = [{ cron: '* * * * * *' }];
const at = (text: string | null) => Date.parse(text!);
const retire = (id: string) => admin.call('DELETE', `/api/v1/processes/${id}`);

/** What runs until it is opened. */
function gateOf(name: string) {
  const file = path.join(stack.dataDir, `gate-${name}`);
  return { action: sh(`until [ -e ${file} ]; do sleep 0.05; done`), open: () => writeFileSync(file, '') };
}

/** Lets a process fire until it has made this many runs that are over, then retires it; its runs, oldest first. */
async function fired(body: object, count: number): Promise<Run[]> {
  const { id } = await define(admin, { triggers: secondly, ...body });
  const over = (run: Run) => !['queued', 'held', 'running'].includes(run.status);
  await eventually(`${count} runs`, async () => (await runsOf(admin, id)).filter(over).length >= count);
  await retire(id);
  await eventually('all to end', async () => (await runsOf(admin, id)).every(over));
  return (await runsOf(admin, id)).reverse();
}

describe('timeout', () => {
  test('ends the run as timed-out, in time', async () => {
    const run = await runToEnd(admin, sh('echo begun; sleep 300'), { policies: { timeout: '700ms' } });
    expect(run).toMatchObject({ status: 'timed-out', reason: 'timed out after 700ms', exitCode: null, attempt: 1 });
    expect(run.durationMs).toBeGreaterThanOrEqual(700);
    expect(run.durationMs).toBeLessThan(20_000);
    expect(await outputOf(admin, run.id)).toBe('begun\n');
  });

  test('a timed-out attempt is tried again', async () => {
    const policies = { timeout: '300ms', retry: { attempts: 2 } };
    expect(await runToEnd(admin, sh('sleep 300'), { policies })).toMatchObject({ status: 'timed-out', attempt: 2 });
  });
});

describe('retry', () => {
  test('attempts count all starts; delay grows by backoff; output is kept for each', async () => {
    const policies = { retry: { attempts: 3, delay: '300ms', backoff: 3 } };
    const { id, status, attempt } = await runToEnd(admin, sh('echo "$RUNLEDGER_ATTEMPT"; exit 9'), { policies });
    expect([status, attempt]).toEqual(['failed', 3]);
    const events = await eventsOf(admin, id);
    const of = (type: string) =>
      events.filter((event) => event.type === type).map(({ data }) => data as { at: string; dueAt: string });
    const waits = of('RunRetryScheduled').map(({ dueAt, at: from }) => at(dueAt) - at(from));
    expect(waits).toEqual([300, 900]);
    const starts = of('RunStarted')
      .slice(1)
      .map((start) => at(start.at));
    of('RunRetryScheduled').forEach(({ dueAt }, i) => {
      expect(starts[i]).toBeGreaterThanOrEqual(at(dueAt) - 1);
      expect(starts[i]! - at(dueAt)).toBeLessThan(20_000);
    });
    expect(await outputOf(admin, id, '?attempt=2')).toBe('2\n');
  });

  test('a success ends it', async () => {
    const policies = { retry: { attempts: 5 } };
    const run = await runToEnd(admin, sh('[ "$RUNLEDGER_ATTEMPT" = 2 ]'), { policies });
    expect(run).toMatchObject({ status: 'succeeded', attempt: 2, exitCode: 0, reason: null });
  });

  test('a cancelled attempt is not tried again', async () => {
    const run = await requestRun(admin, sh('sleep 300'), { policies: { retry: { attempts: 3 } } });
    await started(admin, run);
    await admin.post(`/api/v1/runs/${run.id}/cancel`, {});
    expect(await ended(admin, run)).toMatchObject({ status: 'cancelled', attempt: 1 });
  });
});

describe('overlap', () => {
  const busy = sh('sleep 3');

  test('skip, which scheduled fires do unless told otherwise: says which run was in the way', async () => {
    const runs = await fired({ action: busy }, 5);
    const skipped = runs.filter(({ status }) => status === 'skipped');
    const ran = runs.filter(({ status }) => status === 'succeeded');
    expect(ran.length + skipped.length).toBe(runs.length);
    expect(skipped.length).toBeGreaterThanOrEqual(2);
    for (const run of skipped) {
      const [, why] = await eventsOf(admin, run.id);
      expect(why).toMatchObject({ type: 'RunSkipped', data: { reason: run.reason, cause: expect.any(String) } });
      const cause = ran.find(({ id }) => id === why!.data.cause);
      expect(run.reason).toContain(cause!.id);
      // In the order of the ledger, which no clock decides.
      const [, start, end] = (await eventsOf(admin, cause!.id)).map(({ position }) => Number(position));
      expect(start).toBeLessThan(Number(why!.position));
      expect(end).toBeGreaterThan(Number(why!.position));
      expect(run).toMatchObject({ startedAt: null, exitCode: null, output: null });
    }
    expectApart(ran);
  });

  test('a run by hand always runs', async () => {
    const gate = gateOf('by-hand');
    const { id } = await define(admin, { action: gate.action, policies: { overlap: 'skip' } });
    const asked = await Promise.all([1, 2].map(() => admin.post<Run>(`/api/v1/processes/${id}/run`, {})));
    for (const { body } of asked) await started(admin, body);
    gate.open();
    for (const { body } of asked) expect((await ended(admin, body)).status).toBe('succeeded');
  });

  test('allow: side by side', async () => {
    const gate = gateOf('allow');
    const { id } = await define(admin, { action: gate.action, triggers: secondly, policies: { overlap: 'allow' } });
    const running = async () => (await runsOf(admin, id)).filter(({ status }) => status === 'running');
    await eventually('two at once', async () => (await running()).length >= 2);
    await retire(id);
    gate.open();
    for (const run of await runsOf(admin, id)) expect((await ended(admin, run)).status).toBe('succeeded');
  });

  test('queue: one after another, none left out, in order', async () => {
    const runs = await fired({ action: sh('sleep 1.5'), policies: { overlap: 'queue' } }, 3);
    expect(runs.map(({ status }) => status)).toEqual(runs.map(() => 'succeeded'));
    expect(runs.map(({ scheduledFor }) => scheduledFor)).toEqual(runs.map(({ scheduledFor }) => scheduledFor).sort());
    expectApart(runs);
  });

  test('cancel-previous: the newer one ends the older one, once, and then runs', async () => {
    const { id } = await define(admin, {
      action: sh('sleep 300'),
      triggers: secondly,
      policies: { overlap: 'cancel-previous' },
    });
    await eventually(
      'two cancelled runs',
      async () => (await runsOf(admin, id)).filter(({ status }) => status === 'cancelled').length >= 2,
    );
    await retire(id);
    const newest = (await runsOf(admin, id))[0]!;
    await started(admin, newest);
    const runs = (await runsOf(admin, id)).reverse();
    expect(runs.slice(0, -1).map(({ status }) => status)).toEqual(runs.slice(1).map(() => 'cancelled'));
    for (const [i, run] of runs.slice(0, -1).entries()) {
      const events = await eventsOf(admin, run.id);
      const asked = events.filter(({ type }) => type === 'RunCancelRequested');
      expect(asked).toHaveLength(1);
      expect(asked[0]!.data).toMatchObject({ by: 'system', reason: run.reason });
      expect(run.reason).toMatch(/^superseded by run /);
      expect(at(runs[i + 1]!.startedAt)).toBeGreaterThanOrEqual(at(run.finishedAt) - 5);
    }
    await admin.post(`/api/v1/runs/${newest.id}/cancel`, {});
    await ended(admin, newest);
  });

  test('a run that waits for its retry is not skipped by the next fire, and holds that fire off', async () => {
    const policies = { overlap: 'skip', retry: { attempts: 2, delay: '6s' } };
    const runs = await fired({ action: sh('[ "$RUNLEDGER_ATTEMPT" = 2 ]'), policies }, 3);
    const first = runs[0]!;
    expect(first).toMatchObject({ status: 'succeeded', attempt: 2 });
    expect(runs.filter(({ status, attempt }) => status === 'skipped' && attempt > 0)).toEqual([]);
    expect(runs[1]!.status).toBe('skipped');
  });
});

describe('priority', () => {
  test('higher first, then older first', async () => {
    const dir = mkdtempSync(path.join(os.tmpdir(), 'runledger-priority-'));
    const gate = path.join(dir, 'open');
    try {
      const blockers = await Promise.all(
        Array.from({ length: slots }, () => requestRun(admin, sh(`until [ -e ${gate} ]; do sleep 0.05; done`))),
      );
      await Promise.all(blockers.map((run) => started(admin, run)));
      const order: Run[] = [];
      for (const priority of [1, 5, 9, 0, 9, 5, 10]) {
        order.push(await requestRun(admin, sh(`sleep 0.2`), { policies: { priority } }));
      }
      writeFileSync(gate, '');
      const done = await Promise.all(order.map((run) => ended(admin, run)));
      const positions = await Promise.all(
        done.map(async ({ id }) =>
          Number((await eventsOf(admin, id)).find(({ type }) => type === 'RunStarted')!.position),
        ),
      );
      const byStart = done
        .map((run, i) => ({ i, priority: run.priority, position: positions[i]! }))
        .sort((a, b) => a.position - b.position);
      expect(byStart.map(({ priority }) => priority)).toEqual([10, 9, 9, 5, 5, 1, 0]);
      expect(byStart.map(({ i }) => i)).toEqual([6, 2, 4, 1, 5, 0, 3]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

test('jitter: starts later by what its id says, and is scheduled for the instant all the same', async () => {
  const runs = await fired({ action: noop, policies: { jitter: '2s', overlap: 'allow' } }, 4);
  for (const { id, startedAt, scheduledFor } of runs) {
    expect(scheduledFor).toMatch(/\.000Z$/);
    const jitter = Number.parseInt(id.slice(0, 8), 16) % 2_001;
    expect(at(startedAt) - at(scheduledFor)).toBeGreaterThanOrEqual(jitter);
  }
});

test('noops need no slot', async () => {
  const sleepers = await Promise.all(Array.from({ length: slots }, () => requestRun(admin, sh('sleep 300'))));
  await Promise.all(sleepers.map((run) => started(admin, run)));
  const waiting = await requestRun(admin, sh('true'));
  expect(await runToEnd(admin, noop)).toMatchObject({ status: 'succeeded' });
  expect((await reaches(admin, waiting.id, () => true)).status).toBe('queued');
  await Promise.all(sleepers.map(({ id }) => admin.post(`/api/v1/runs/${id}/cancel`, {})));
  expect(await ended(admin, waiting)).toMatchObject({ status: 'succeeded' });
});

function expectApart(runs: Run[]): void {
  const byStart = runs.toSorted((a, b) => at(a.startedAt) - at(b.startedAt));
  byStart
    .slice(1)
    .forEach((run, i) => expect(at(run.startedAt)).toBeGreaterThanOrEqual(at(byStart[i]!.finishedAt) - 5));
}
