import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { newId, Refusal, type RunEvent } from '#domain';
import { type Context } from '#service';
import { bornOf, eventually, metaBy, processOf, World } from '../../../libs/testing/src/context.js';
import { expired, type Limits } from './expired.js';
import { alone, sweep } from './retention.js';
import { Views } from './views.service.js';

let world: World;
let context: Context;
let views: Views;

beforeEach(async () => {
  world = await World.create();
  context = await world.open();
  views = new Views(context);
  views.onApplicationBootstrap();
});
afterEach(async () => {
  await views.onApplicationShutdown();
  await world.close();
});

const day = 86_400_000;
const ago = (days: number) => new Date(Date.now() - days * day).toISOString();

interface Made {
  owner?: string;
  process?: string;
  /** Days ago; null while it runs. */
  ended?: number | null;
  requested?: number;
}

const made = async (of: Made) => (await born(of)).id;

async function born({ owner = 'ann', process, ended = 0, requested = ended ?? 0 }: Made) {
  const id = newId();
  const birth = { ...bornOf({ owner }), process: process ? processOf(process) : null, priority: 5 };
  const end = { attempt: 1, at: ago(ended ?? 0), exitCode: 0, signal: null, output: null };
  const events: RunEvent[] = [
    { type: 'RunRequested', data: { ...birth, requestedAt: ago(requested) } },
    { type: 'RunStarted', data: { attempt: 1, epoch: '1', executor: 'x', server: 'host', at: ago(requested) } },
    ...(ended === null ? [] : [{ type: 'RunSucceeded' as const, data: end }]),
  ];
  const append = { stream: `run-${id}`, expected: 0, events, meta: metaBy(owner) };
  const { verdict } = await context.ledger.append(append);
  if (verdict.verdict !== 'appended') throw new Error(verdict.verdict);
  return { id, at: Number(verdict.events[0]!.position) };
}

/** In the order of the ledger. */
async function many(times: number, of: Made): Promise<string[]> {
  const all = await Promise.all(Array.from({ length: times }, () => born(of)));
  return all.sort((a, b) => a.at - b.at).map(({ id }) => id);
}

/** A process that its view knows, whatever else is said of it. */
async function defined(name: string, number: number): Promise<void> {
  const settings = { name, description: null, action: { kind: 'noop' as const }, triggers: [], policies: {} };
  const data = { ...settings, number, owner: 'ann', by: 'ann', at: ago(0) };
  const stream = `process-${processOf(name).id}`;
  await context.ledger.append({ stream, expected: 0, events: [{ type: 'ProcessDefined', data }], meta: metaBy() });
}

async function named(limits: Partial<Limits>): Promise<string[]> {
  const head = await context.ledger.head();
  const text = 'select from checkpoint where position >= $1';
  await eventually(async () => (await context.pool.query(text, [head])).rowCount === 2, 15_000);
  const ids: string[] = [];
  for await (const page of expired(context.pool, { age: null, count: null, ...limits }))
    ids.push(...page.map(({ id }) => id));
  return ids;
}

describe('by age', () => {
  test('what finished longer ago, oldest first, however long it ran or waited; nothing that is not over', async () => {
    const old = [await made({ ended: 100 }), await made({ ended: 91, requested: 95 })];
    await made({ ended: 89, requested: 94 });
    await made({ ended: null, requested: 93 });
    const last = await made({ ended: 90.1 });
    await made({ ended: 1 });
    expect(await named({ age: 90 * day })).toEqual([...old, last]);
    expect(await named({ age: 120 * day })).toEqual([]);
  });

  test('more than a page', async () => {
    const old = await many(700, { ended: 10 });
    const young = await many(600, { ended: 1 });
    expect(await named({ age: 5 * day })).toEqual(old);
    expect((await named({ age: day / 2 })).sort()).toEqual([...old, ...young].sort());
  });
});

describe('by count', () => {
  test('the newest of each process stay, and of each owner’s runs without one', async () => {
    await Promise.all(['a', 'b'].map(defined));
    const a = await many(5, { process: 'a' });
    await many(2, { process: 'b' });
    const [ann, bob] = [await many(4, {}), await many(3, { owner: 'bob' })];
    await made({ process: 'a', ended: null });
    expect((await named({ count: 2 })).sort()).toEqual(
      [...a.slice(0, 3), ...ann.slice(0, 2), ...bob.slice(0, 1)].sort(),
    );
    expect((await named({ count: 1 })).length).toBe(4 + 1 + 3 + 2);
    expect(await named({ count: 5 })).toEqual([]);
  });

  test('more than a page, and together with an age none twice', async () => {
    const old = await many(300, { ended: 10 });
    const young = await many(900, { ended: 1 });
    expect((await named({ count: 100 })).sort()).toEqual([...old, ...young.slice(0, 800)].sort());
    const both = await named({ count: 100, age: 5 * day });
    expect([new Set(both).size, both.length]).toEqual([1_100, 1_100]);
  });
});

test('what is gone or not over after all is passed by; anything else stops the pass', async () => {
  const runs = await many(20, { ended: 10 });
  await named({});
  const limits = { age: day, count: null };
  const said = (kind: 'not-found' | 'rejected' | 'unavailable') => new Refusal(kind, 'X', 'x');
  const answers: (() => Promise<number | null>)[] = [
    () => Promise.resolve(7),
    () => Promise.resolve(null),
    () => Promise.reject(said('not-found')),
    () => Promise.reject(said('rejected')),
  ];
  const swept = await sweep(context.pool, limits, (run) => answers[runs.indexOf(run) % 4]!());
  expect(swept).toEqual({ runs: 5, bytes: 35 });
  const failing = sweep(context.pool, limits, () => Promise.reject(said('unavailable')));
  await expect(failing).rejects.toMatchObject({ kind: 'unavailable' });
});

test('of several at the same time one works; the next may when it is done, or dead', async () => {
  const other = await world.open();
  let finish = () => {};
  let first: Promise<string | null> = Promise.resolve(null);
  await new Promise<void>((begun) => {
    const until = () => new Promise<string>((resolve) => ((finish = () => resolve('done')), begun()));
    first = alone(other.pool, until);
  });
  const work = () => Promise.resolve('worked');
  expect(await alone(context.pool, work)).toBeNull();
  expect(await alone(other.pool, work)).toBeNull();
  finish();
  expect(await first).toBe('done');
  await expect(alone(other.pool, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await alone(context.pool, work)).toBe('worked');
});
