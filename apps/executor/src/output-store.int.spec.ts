import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { bells, type RungOutput } from '#bus';
import { newId } from '#domain';
import { type Context } from '#service';
import { eventually } from '#testing';
import { World } from '../../../libs/testing/src/context.js';
import { Attempt } from './attempt.js';
import { type Chunk } from './launcher/protocol.js';
import { OutputStore, readOutput } from './output-store.js';

let world: World;
let context: Context;
let acked: number[] = [];
let troubles: unknown[] = [];

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
});
beforeEach(() => {
  acked = [];
  troubles = [];
});
afterAll(() => world.close());

const storeOf = () =>
  new OutputStore(
    context.pool,
    context.bus,
    (_, seq) => acked.push(seq),
    (error) => troubles.push(error),
  );

function attemptOf(run = newId()): Attempt {
  const work = { name: 'x', number: 1, action: { kind: 'noop' as const }, policies: {}, process: null };
  const more = { scheduledFor: null, owner: 'ann' };
  return new Attempt({
    ...{ run, attempt: 1, epoch: '1', version: 2, correlation: 'c', at: '' },
    work: { ...work, ...more },
  });
}
const text = (seq: number) => `${seq}: ${'x'.repeat(seq % 50)}\n`;
const chunkOf = (attempt: Attempt, seq: number, more: Partial<Chunk> = {}): Chunk => ({
  ...{ key: attempt.launcherKey, seq, stream: seq % 3 ? 'stdout' : 'stderr', offset: seq * 10 },
  ...{ at: new Date().toISOString(), ...more },
});
const give = (store: OutputStore, attempt: Attempt, ...seqs: number[]) =>
  seqs.forEach((seq) => store.take(attempt, chunkOf(attempt, seq), Buffer.from(text(seq))));
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const sha = (value: string) => createHash('sha256').update(value).digest('hex');

async function stored(attempt: Attempt): Promise<string> {
  const { chunks } = await readOutput(context.pool, { run: attempt.claimed.run, after: null, limit: 10_000_000 });
  return chunks.map(({ bytes }) => Buffer.from(bytes, 'base64').toString()).join('');
}

test('chunks that come again change nothing, and are acknowledged only once they are stored', async () => {
  const [store, attempt] = [storeOf(), attemptOf()];
  const lock = await context.pool.connect();
  await lock.query('begin; lock table run_output in exclusive mode');
  give(store, attempt, ...upTo(20));
  await sleep(50);
  // The launcher was connected anew while the store was away: it sends again what nobody acknowledged.
  give(store, attempt, ...upTo(20));
  await sleep(50);
  expect(acked).toEqual([]);
  await lock.query('commit');
  lock.release();
  await store.settled(attempt);
  expect(acked).toEqual([20]);
  give(store, attempt, 7);
  expect(acked).toEqual([20, 7]);
  const all = upTo(20).map(text).join('');
  expect(await stored(attempt)).toBe(all);
  expect(attempt.summary(999)).toEqual({ bytes: 999, stored: all.length, truncated: false, sha256: sha(all) });
});

test('whoever comes after takes up the count and the checksum, whatever is sent again', async () => {
  const [store, before] = [storeOf(), attemptOf()];
  give(store, before, ...upTo(150));
  await store.settled(before);
  const after = attemptOf(before.claimed.run);
  const next = storeOf();
  await next.resume(after);
  give(next, after, ...upTo(200).slice(139));
  await next.settled(after);
  const all = upTo(200).map(text).join('');
  expect(await stored(after)).toBe(all);
  expect(after.summary(1)).toMatchObject({ stored: all.length, sha256: sha(all) });
});

test('watchers hear what is committed, and the sample of what is not kept', async () => {
  const [store, attempt] = [storeOf(), attemptOf()];
  const heard: RungOutput[] = [];
  const stop = context.bus.listen(bells.output, (list) => void heard.push(...list), attempt.claimed.run);
  give(store, attempt, ...upTo(10));
  store.take(attempt, chunkOf(attempt, 0, { live: true }), Buffer.from('only live'));
  await store.settled(attempt);
  await eventually('the last bell', async () => heard.filter(({ live }) => !live).length === 10);
  stop();
  expect(heard.filter(({ live }) => !live).map(({ seq }) => seq)).toEqual(upTo(10));
  expect(heard.filter(({ live }) => live).map((each) => each.text)).toEqual(['only live']);
  expect(await stored(attempt)).not.toContain('only live');
});

test('pages follow each other without a gap, by stream and attempt, and a strange run has none', async () => {
  const [store, attempt] = [storeOf(), attemptOf()];
  give(store, attempt, ...upTo(600));
  await store.settled(attempt);
  const { run } = attempt.claimed;
  const seqs: number[] = [];
  for (let after: { attempt: number; seq: number } | null = null, more = true; more;) {
    const page: Awaited<ReturnType<typeof readOutput>> = await readOutput(context.pool, { run, after, limit: 3_000 });
    seqs.push(...page.chunks.map(({ seq }) => seq));
    after = page.chunks.at(-1) ?? null;
    more = page.more;
  }
  expect(seqs).toEqual(upTo(600));
  const errors = await readOutput(context.pool, { run, after: null, stream: 'stderr', limit: 10_000_000 });
  expect(errors.chunks.map(({ seq }) => seq)).toEqual(upTo(600).filter((seq) => seq % 3 === 0));
  expect(await readOutput(context.pool, { run, after: null, attempt: 2, limit: 10 })).toEqual({
    ...{ chunks: [], more: false },
  });
  expect(await readOutput(context.pool, { run: "'; --", after: null, limit: 10 })).toEqual({ chunks: [], more: false });
  expect(troubles).toEqual([]);
});

test('a bell carries no more than fits, and says that there is more where nothing does', async () => {
  const [store, attempt] = [storeOf(), attemptOf()];
  const rung: RungOutput[][] = [];
  const stop = context.bus.listen(bells.output, (list) => void rung.push(list), attempt.claimed.run);
  const bodies = [
    Buffer.alloc(65_536, 1),
    Buffer.alloc(65_536, 0xc3),
    ...upTo(30).map(() => Buffer.alloc(20_000, '"')),
  ];
  bodies.forEach((body, i) => store.take(attempt, chunkOf(attempt, i + 1), body));
  await store.settled(attempt);
  await eventually('the last bell', async () => rung.at(-1)?.at(-1)?.seq === bodies.length);
  stop();
  expect(rung.flat().map(({ seq }) => seq)).toEqual(upTo(bodies.length));
  expect(rung.flat().map(({ text }) => text)).toEqual([
    undefined,
    ...bodies.slice(1).map((body) => body.toString('utf8')),
  ]);
  expect(context.bus.stats().bellErrors).toBe(0);
  const { chunks } = await readOutput(context.pool, { run: attempt.claimed.run, after: null, limit: 10_000_000 });
  expect(chunks.map(({ bytes }) => Buffer.from(bytes, 'base64'))).toEqual(bodies);
});
