import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { bells, type RungOutput } from '#bus';
import { newId } from '#domain';
import { report } from '#admission';
import { type Context } from '#service';
import { eventually, happens, metaBy, request, shell, World } from '../../../libs/testing/src/context.js';
import { erase, eraseLeftovers } from './eraser.js';
import { Executor } from './executor.js';
import { readOutput } from './output-store.js';

let world: World;
let context: Context;
let executor: Executor;

beforeAll(async () => {
  world = await World.create();
  context = await world.open({ RUNLEDGER_EXECUTOR_SLOTS: '4' });
  executor = new Executor(context);
  await executor.onApplicationBootstrap();
});
afterAll(async () => {
  await executor.onApplicationShutdown();
  await world.close();
});

const purge = (run: string) => report(context.ledger, run, { type: 'PurgeRun', meta: metaBy(), data: { any: false } });
const force = (run: string, given: { stdout?: string; stderr?: string } = {}) =>
  report(context.ledger, run, {
    type: 'ForceCompleteRun',
    meta: metaBy(),
    data: { status: 'failed', any: false, ...given },
  });

async function stored(run: string): Promise<number> {
  const text = 'select coalesce(sum(octet_length(bytes)), 0)::int as bytes from run_output where run_id = $1';
  return (await context.pool.query<{ bytes: number }>(text, [run])).rows[0]!.bytes;
}

async function chunksOf(run: string): Promise<number> {
  return (await context.pool.query('select from run_output where run_id = $1', [run])).rowCount!;
}

async function given(run: string): Promise<Record<'stdout' | 'stderr', Buffer[]>> {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const { chunks } = await readOutput(context.pool, { run, after: null, attempt: 0, limit: 100_000_000 });
  for (const { stream, bytes } of chunks) parts[stream].push(Buffer.from(bytes, 'base64'));
  return parts;
}

test('megabytes are gone when it answers, and said to be so many; another run’s stay', async () => {
  const [run, other] = await Promise.all([
    request(context, shell('head -c 9000000 /dev/zero | tr "\\0" x; echo end >&2')),
    request(context, shell('echo mine')),
  ]);
  await Promise.all([run, other].map((each) => happens(context, each, 'RunSucceeded')));
  const bytes = await stored(run);
  expect(bytes).toBe(9_000_004);
  expect(await erase(context.pool, [run])).toBe(0);
  await purge(run);
  expect(await erase(context.pool, [run])).toBe(bytes);
  expect(await erase(context.pool, [run])).toBe(0);
  expect([await chunksOf(run), await stored(other)]).toEqual([0, 5]);
});

test('purged in the middle of a flood: nothing of it comes back, to the store or to watchers', async () => {
  const run = await request(context, shell("trap '' TERM; yes 0123456789abcdef"));
  await eventually(async () => (await stored(run)) > 500_000, 15_000);
  await force(run);
  await purge(run);
  await erase(context.pool, [run]);
  let told = 0;
  const stop = context.bus.listen(
    bells.output,
    (pieces: RungOutput[]) => void (told += pieces.filter(({ live }) => live).length),
    run,
  );
  const after = await chunksOf(run);
  await happens(context, run, 'RunLateReported');
  expect([after, await chunksOf(run), told]).toEqual([0, 0, 0]);
  stop();
});

test('chunks on their way and the purge at the same time: whoever is last, none is left', async () => {
  const line = shell('echo x');
  const runs = await Promise.all(Array.from({ length: 12 }, () => request(context, line)));
  for (const run of runs) await happens(context, run, 'RunSucceeded');
  const late = (run: string, seq: number) =>
    context.pool.query('select output_add($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)', [
      ...[[run], [1], [seq], [0], [seq], [new Date()], [false], Buffer.alloc(30_000, 65), [1], [30_000]],
    ]);
  for (const run of runs) {
    const chunks = Array.from({ length: 25 }, (_, i) => late(run, 2 + i));
    const purging = purge(run).then(() => erase(context.pool, [run]));
    await Promise.all([...chunks, purging, ...Array.from({ length: 10 }, (_, i) => late(run, 100 + i))]);
    expect(await chunksOf(run)).toBe(0);
  }
});

test('whoever died after the purge was recorded leaves it to the others to erase', async () => {
  const run = await request(context, shell('echo forgotten'));
  await happens(context, run, 'RunSucceeded');
  await purge(run);
  expect(await chunksOf(run)).toBe(1);
  await context.pool.query(`update run_purge set at = at - interval '1 minute' where run_id = $1`, [run]);
  await eraseLeftovers(context.pool);
  expect(await chunksOf(run)).toBe(0);
  const { rows } = await context.pool.query('select erased from run_purge where run_id = $1', [run]);
  expect(rows).toEqual([{ erased: true }]);
});

test('output given for a run: whole characters and bytes, each stream by itself, the last word counts', async () => {
  const run = await request(context, shell('echo printed'));
  await happens(context, run, 'RunSucceeded');
  expect(await given(run)).toEqual({ stdout: [], stderr: [] });
  const long = `${'ü€😀\n\\'.repeat(20_000)}end`;
  await force(run, { stdout: long });
  const first = await given(run);
  expect(Buffer.concat(first.stdout).toString()).toBe(long);
  expect([first.stderr, first.stdout.every(({ length }) => length <= 65_536)]).toEqual([[], true]);
  await force(run, { stdout: '', stderr: 'nothing' });
  expect(await given(run)).toEqual({ stdout: [Buffer.alloc(0)], stderr: [Buffer.from('nothing')] });
  const printed = await readOutput(context.pool, { run, after: null, attempt: 1, limit: 1_000 });
  expect(printed.chunks.map(({ bytes }) => Buffer.from(bytes, 'base64').toString())).toEqual(['printed\n']);
  await purge(run);
  await erase(context.pool, [run]);
  expect(await chunksOf(run)).toBe(0);
});

test('what is refused writes nothing beside the ledger', async () => {
  const missing = newId();
  await expect(force(missing, { stdout: 'x' })).rejects.toMatchObject({ kind: 'not-found' });
  const run = await request(context, shell('sleep 60'));
  await happens(context, run, 'RunStarted');
  await expect(purge(run)).rejects.toMatchObject({ kind: 'rejected', code: 'RUN_NOT_OVER' });
  const { rows } = await context.pool.query('select from run_purge where run_id = any($1)', [[missing, run]]);
  expect([rows.length, await chunksOf(missing)]).toEqual([0, 0]);
  await force(run);
  await happens(context, run, 'RunLateReported');
});
