import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Refusal } from '#domain';
import { report } from '#admission';
import { type Context } from '#service';
import { quickest } from '#testing';
import {
  eventsOf,
  eventually,
  fire,
  happens,
  metaBy,
  processOf,
  request,
  shell,
  typesOf,
  World,
} from '../../../libs/testing/src/context.js';
import { Executor } from './executor.js';
import { alive } from './launcher/launcher.harness.js';
import { readOutput } from './output-store.js';

let world: World;
let context: Context;
let executor: Executor;

beforeAll(async () => {
  world = await World.create();
  context = await world.open({ RUNLEDGER_EXECUTOR_SLOTS: '4', RUNLEDGER_EXECUTOR_NAME: 'here' });
  executor = new Executor(context);
  await executor.onApplicationBootstrap();
});
afterAll(async () => {
  await executor.onApplicationShutdown();
  await world.close();
});

const cancel = (run: string, actor = 'ann', any = false) =>
  report(context.ledger, run, { type: 'CancelRun', meta: metaBy(actor), data: { reason: 'enough', any } });
const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

async function printed(run: string): Promise<Buffer> {
  const { chunks } = await readOutput(context.pool, { run, after: null, limit: 10_000_000 });
  return Buffer.concat(chunks.map(({ bytes }) => Buffer.from(bytes, 'base64')));
}

/** The pid that a run prints first. */
async function pidOf(run: string): Promise<number> {
  return eventually(async () => Number((await printed(run)).toString().split('\n')[0]) || undefined);
}

async function queued(run: string) {
  return (await context.pool.query('select from queue where run_id = $1', [run])).rowCount;
}

test('with every connection for questions taken, runs still start, end and make room, and the lease holds', async () => {
  const { config, pool, reserved } = context;
  const held = await Promise.all(Array.from({ length: config.RUNLEDGER_POOL }, () => pool.connect()));
  try {
    const runs = await Promise.all(Array.from({ length: 12 }, () => request(context, shell('sleep 0.05'))));
    const ended = `select from event where stream = any ($1) and type = 'RunSucceeded'`;
    const streams = runs.map((run) => `run-${run}`);
    await eventually(async () => (await reserved.query(ended, [streams])).rowCount === runs.length || undefined);
    const leased = async () => (await reserved.query<{ until: Date }>('select until from executor_lease')).rows;
    const [{ until } = {}] = await leased();
    await eventually(async () => (await leased()).some((lease) => lease.until > until!) || undefined);
  } finally {
    held.forEach((client) => client.release());
  }
});

describe('a run', () => {
  test('weightless: over at once', async () => {
    const once = async () => {
      const run = await request(context);
      await happens(context, run, 'RunSucceeded');
      expect(await typesOf(context, run)).toEqual(['RunRequested', 'RunStarted', 'RunSucceeded']);
      expect(await queued(run)).toBe(0);
    };
    expect(await quickest(800, once)).toBeLessThan(800);
  });

  test('a command: exit code, output with its checksum, and what it is told', async () => {
    const line = 'echo "$RUNLEDGER_RUN_ID $RUNLEDGER_ATTEMPT $RUNLEDGER_PROCESS"; echo oops >&2; exit 3';
    const run = await request(context, { ...shell(line), process: processOf('nightly') });
    const { data } = await happens(context, run, 'RunFailed');
    const bytes = await printed(run);
    expect(bytes.toString()).toContain(`${run} 1 nightly\n`);
    expect(data).toMatchObject({ attempt: 1, exitCode: 3, signal: null, reason: 'exit code 3' });
    expect(data.output).toEqual({ bytes: bytes.length, stored: bytes.length, truncated: false, sha256: sha(bytes) });
  });

  test('by signal, by timeout, not found, outside of nothing', async () => {
    const signalled = await request(context, shell('kill -SEGV $$'));
    const late = await request(context, { ...shell('sleep 60'), policies: { timeout: '1s' } });
    const missing = await request(context, { action: { kind: 'command', command: ['/no/such/thing'] } });
    const by = (await happens(context, signalled, 'RunFailed')).data;
    expect(by).toMatchObject({ exitCode: null, signal: 'SIGSEGV', reason: 'ended by SIGSEGV' });
    const none = (await happens(context, missing, 'RunFailed')).data;
    expect(none).toMatchObject({ exitCode: 127, signal: null });
    const timedOut = (await happens(context, late, 'RunTimedOut')).data;
    expect(timedOut).toMatchObject({ exitCode: null, signal: 'SIGTERM', reason: 'timed out after 1s' });
  });

  test('a retry is claimed as soon as it is due', async () => {
    const policies = { retry: { attempts: 2, delay: '250ms' } };
    const waits: number[] = [];
    // Several times: what the machine does besides is no part of it.
    while (waits.length < 5) {
      const run = await request(context, { ...shell('test "$RUNLEDGER_ATTEMPT" = 2'), policies });
      await happens(context, run, 'RunSucceeded');
      const events = await eventsOf(context, run);
      expect(events.map(({ type }) => type)).toEqual([
        ...['RunRequested', 'RunStarted', 'RunFailed', 'RunRetryScheduled', 'RunStarted', 'RunSucceeded'],
      ]);
      const [scheduled, again] = [events[3]!, events[4]!];
      if (scheduled.type !== 'RunRetryScheduled' || again.type !== 'RunStarted') throw new Error('see above');
      waits.push(Date.parse(again.data.at) - Date.parse(scheduled.data.dueAt));
    }
    const [least, , median] = waits.toSorted((a, b) => a - b);
    expect(least).toBeGreaterThanOrEqual(0);
    // Each second it looks anyhow.
    expect(median).toBeLessThan(600);
  });

  test('its own voice: few events, and the last word is among them', async () => {
    const say = `i=1; while [ $i -le 100 ]; do echo "##runledger {\\"progress\\": $i, \\"ops\\": $i}"; sleep 0.01; i=$((i+1)); done; echo end`;
    const run = await request(context, shell(say));
    const end = await happens(context, run, 'RunSucceeded');
    const { data: begun } = await happens(context, run, 'RunStarted');
    const said = (await eventsOf(context, run)).filter((event) => event.type === 'RunProgressed');
    // Two a second, the first and the last one besides.
    const most = (Date.parse(end.data.at) - Date.parse(begun.at)) / 500 + 2;
    expect(said.length).toBeLessThanOrEqual(most);
    expect(said.at(-1)?.data).toMatchObject({ progress: 100, ops: 100 });
    expect((await printed(run)).toString()).toBe('end\n');
  });
});

describe('cancelled', () => {
  test('while it waits: at once, and it never starts', async () => {
    const run = await fire(context, 'waiting', 60_000, shell('true'));
    await cancel(run);
    expect(await typesOf(context, run)).toEqual(['RunRequested', 'RunCancelled']);
    expect(await queued(run)).toBe(0);
    await expect(cancel(run)).rejects.toMatchObject({ kind: 'conflict', code: 'RUN_OVER' });
  });

  test('while it runs, by its owner only; with its whole tree and what it printed last', async () => {
    const run = await request(context, shell('echo $$; trap "echo bye; exit 9" TERM; sleep 60 & wait'));
    const pid = await pidOf(run);
    await expect(cancel(run, 'bob')).rejects.toBeInstanceOf(Refusal);
    await cancel(run);
    const { data } = await happens(context, run, 'RunCancelled');
    expect(data).toMatchObject({ by: 'ann', reason: 'enough', exitCode: 9 });
    expect(alive(pid)).toBe(false);
    const bytes = await printed(run);
    expect(bytes.toString()).toBe(`${pid}\nbye\n`);
    expect(data.output).toMatchObject({ bytes: bytes.length, sha256: sha(bytes) });
  });

  test('while the output of a flood is still on its way', async () => {
    const run = await request(context, shell('yes 0123456789abcdef'));
    await eventually(async () => (await printed(run)).length > 1_000_000);
    await cancel(run);
    const { data } = await happens(context, run, 'RunCancelled');
    expect(data.output!.bytes).toBeGreaterThan(1_000_000);
    expect(data.output!.bytes).toBeGreaterThanOrEqual(data.output!.stored);
    const { rows } = await context.pool.query<{ n: string }>(
      'select sum(length(bytes))::text as n from run_output where run_id = $1',
      [run],
    );
    expect(Number(rows[0]!.n)).toBe(data.output!.stored);
  });

  test('a hundred at once, some before and some after their start', async () => {
    const runs = await Promise.all(Array.from({ length: 100 }, () => request(context, shell('sleep 30'))));
    await Promise.all(runs.map((run) => cancel(run)));
    for (const run of runs) await happens(context, run, 'RunCancelled');
    expect((await context.pool.query('select from queue')).rowCount).toBe(0);
  });
});

test('cancel-previous: the run before it ends, then the due one begins', async () => {
  const policies = { overlap: 'cancel-previous' as const };
  const before = await fire(context, 'newest wins', -1_000, { ...shell('sleep 60'), policies });
  await happens(context, before, 'RunStarted');
  const due = await fire(context, 'newest wins', -10, { ...shell('true'), policies });
  await happens(context, due, 'RunSucceeded');
  const { data } = await happens(context, before, 'RunCancelled');
  expect(data).toMatchObject({ by: 'system', reason: `superseded by run ${due}` });
});

test('what was claimed without the answer reaching us begins all the same', async () => {
  const { rows } = await context.pool.query<{ executor: string }>('select executor from executor_lease');
  const order = { claim: [{ executor: rows[0]!.executor, slots: 4, light: 4 }] };
  // Another connection claims in this executor's name, as if the answer had been lost with its own.
  const other = await world.open();
  const claimed = async (run: string) => {
    for (;;) {
      const { claim } = (await other.ledger.call(order)) as { claim?: { claimed?: { run: string }[] } | null };
      if (claim?.claimed?.some((each) => each.run === run)) return true;
      if ((await typesOf(context, run)).includes('RunStarted')) return false;
    }
  };
  let run: string;
  do run = await fire(context, 'unheard', 150, shell('echo once'));
  while (!(await claimed(run)));
  await happens(context, run, 'RunSucceeded');
  expect(await typesOf(context, run)).toEqual(['RunRequested', 'RunStarted', 'RunSucceeded']);
  expect((await printed(run)).toString()).toBe('once\n');
});

test('judged dead and woken: its commands end, nothing of them counts, and it begins anew', async () => {
  const policies = { retry: { attempts: 2, delay: '100ms' } };
  const line = 'echo $$; [ "$RUNLEDGER_ATTEMPT" = 2 ] || sleep 60';
  const run = await request(context, { ...shell(line), policies });
  const pid = await pidOf(run);
  const before = await context.pool.query<{ executor: string }>('select executor from executor_lease');
  await context.pool.query('delete from executor_lease');
  const { data } = await happens(context, run, 'RunLost');
  expect(data).toMatchObject({ attempt: 1 });
  await eventually(() => !alive(pid));
  await happens(context, run, 'RunSucceeded');
  const types = await eventually(async () => {
    const all = await typesOf(context, run);
    return all.length >= 6 && all;
  });
  const counted = types.filter((type) => type !== 'RunLateReported');
  expect(counted).toEqual([
    ...['RunRequested', 'RunStarted', 'RunLost', 'RunRetryScheduled', 'RunStarted', 'RunSucceeded'],
  ]);
  const after = await context.pool.query<{ executor: string }>('select executor from executor_lease');
  expect(after.rows).toHaveLength(1);
  expect(after.rows[0]!.executor).not.toBe(before.rows[0]!.executor);
});

test('nothing is left when it is done', async () => {
  await eventually(async () => (await context.pool.query('select from queue')).rowCount === 0);
  expect(world.logged.filter(({ level }) => level !== 'warn')).toEqual([]);
});
