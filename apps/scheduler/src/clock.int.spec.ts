import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { newId, parseCron, process, type Policies, type ProcessCommand, type RunRequested } from '#domain';
import { handle, type StoredEvent } from '#ledger';
import { type Context } from '#service';
import { eventually, World } from '../../../libs/testing/src/context.js';
import { Clock } from './clock.js';
import { ProcessController } from './process.controller.js';
import { ticksOf } from './ticks.js';
import { timersAfter } from './timers.js';

let world: World;
let contexts: Context[];
let context: Context;
let processes: ProcessController;
const clocks: Clock[] = [];

beforeAll(async () => {
  world = await World.create();
  contexts = await Promise.all([world.open(), world.open(), world.open()]);
  context = contexts[0]!;
  processes = new ProcessController(context);
});
afterEach(async () => {
  await Promise.all(clocks.splice(0).map((clock) => clock.onApplicationShutdown()));
  await context.pool.query('delete from timer; delete from queue');
  world.logged.length = 0;
});
afterAll(() => world.close());

function startClocks(n: number): void {
  for (const each of contexts.slice(0, n)) {
    const clock = new Clock(each);
    clocks.push(clock);
    clock.onApplicationBootstrap();
  }
}

const meta = (actor = 'ann') => ({ actor, correlationId: newId() });

async function define(cron: string, policies: Policies = {}, zone = 'UTC', owner = 'ann'): Promise<string> {
  const id = newId();
  const settings = { name: id, description: null, action: { kind: 'noop' as const }, policies };
  await processes.define({ data: { id, ...settings, triggers: [{ cron, zone }] }, meta: meta(owner) });
  return id;
}
const disable = (id: string, until: string | null = null) =>
  processes.disable({ data: { id, any: false, reason: null, until }, meta: meta() });
const enable = (id: string) => processes.enable({ data: { id, any: false }, meta: meta() });

interface Fire {
  process: string;
  at: string;
  position: bigint;
}

async function firesOf(...ids: string[]): Promise<Fire[]> {
  const events = (await everything()).filter(({ type }) => type === 'RunRequested');
  return events
    .map(({ position, data }) => ({ position: BigInt(position), data: data as RunRequested }))
    .map(({ position, data }) => ({ position, process: data.process?.id ?? '', at: data.scheduledFor ?? '' }))
    .filter(({ process }) => ids.includes(process));
}

async function everything({ ledger } = context): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (let page: StoredEvent[]; (page = await ledger.readFrom(all.at(-1)?.position ?? '0', 5_000)).length > 0;)
    all.push(...page);
  return all;
}

/** The answer is given once the whole flush is on disk: what else stands in it was there before the answer. */
async function answeredAt(position: string): Promise<bigint> {
  const text = 'select last from block where first <= $1 and last >= $1';
  return BigInt((await context.pool.query<{ last: string }>(text, [position])).rows[0]!.last);
}

async function timerOf(id: string) {
  const text = 'select ordinal, version, watermark, next_at from timer where process_id = $1';
  const { rows } = await context.pool.query<{ ordinal: number; watermark: string; next_at: string | null }>(text, [id]);
  return rows[0]!;
}

test('three clocks, twenty schedules each second: each instant exactly once', async () => {
  const zones = ['UTC', 'Europe/Vienna', 'Asia/Kathmandu', 'America/St_Johns'];
  const ids = await Promise.all(Array.from({ length: 20 }, (_, i) => define('* * * * * *', {}, zones[i % 4]!)));
  const from = new Map<string, string>();
  for (const id of ids) from.set(id, (await timerOf(id)).watermark);
  const every = parseCron('* * * * * *');
  const dueTo = async (id: string) => {
    const until = new Date((await timerOf(id)).watermark);
    return every.between(new Date(from.get(id)!), until, 1_000).map((at) => at.toISOString());
  };
  startClocks(3);
  for (const id of ids) await eventually(async () => (await dueTo(id)).length >= 9);
  await Promise.all(clocks.splice(0).map((clock) => clock.onApplicationShutdown()));
  const fires = await firesOf(...ids);
  for (const id of ids) {
    const expected = await dueTo(id);
    const fired = fires.filter(({ process }) => process === id).map(({ at }) => at);
    expect(fired.sort()).toEqual(expected);
  }
  // Each has its row in the queue, and nothing was said to have been missed.
  expect((await context.pool.query('select from queue')).rowCount).toBe(fires.length);
  expect((await everything()).filter(({ stream }) => stream.startsWith('schedule-'))).toEqual([]);
  expect(world.logged).toEqual([]);
});

describe('after the answer to', () => {
  /** At the very instant at which the clocks fire. */
  const atASecond = () => sleep(1_000 - (Date.now() % 1_000));

  test('disable no run begins, until it is enabled again', async () => {
    const ids = await Promise.all(Array.from({ length: 12 }, () => define('* * * * * *')));
    const pauses: { id: string; from: bigint; to: bigint }[] = [];
    startClocks(3);
    for (let round = 0; round < 4; round++) {
      await atASecond();
      await Promise.all(
        ids.map(async (id, i) => {
          await sleep(i % 4);
          const { position: from } = await disable(id);
          await sleep(i % 3 ? 20 : 1_050);
          const { position: to } = await enable(id);
          pauses.push({ id, from: await answeredAt(from), to: BigInt(to) });
        }),
      );
    }
    const fires = await firesOf(...ids);
    const wrong = fires.filter(({ process, position }) =>
      pauses.some(({ id, from, to }) => id === process && position > from && position < to),
    );
    expect(wrong).toEqual([]);
    expect(fires.length).toBeGreaterThan(0);
    expect(new Set(fires.map(({ process, at }) => `${process} ${at}`)).size).toBe(fires.length);
  });

  test('retire none begins ever, and after a revision only what it says', async () => {
    const [retired, revised] = await Promise.all([define('* * * * * *'), define('* * * * * *')]);
    startClocks(3);
    await eventually(async () => (await firesOf(retired, revised)).length >= 2);
    await atASecond();
    const [end, change] = await Promise.all([
      processes.retire({ data: { id: retired, any: false }, meta: meta() }),
      processes.revise({
        data: { id: revised, any: false, revision: 1, change: { action: { kind: 'command', shell: 'true' } } },
        meta: meta(),
      }),
    ]);
    const after = async (id: string, position: bigint) =>
      (await everything()).filter(
        (event) =>
          event.type === 'RunRequested' &&
          (event.data as RunRequested).process?.id === id &&
          BigInt(event.position) > position,
      );
    const revisedAt = await answeredAt(change.position);
    const later = await eventually(async () => {
      const found = await after(revised, revisedAt);
      return found.length >= 2 && found;
    });
    expect(await after(retired, await answeredAt(end.position))).toEqual([]);
    expect((await context.pool.query('select from timer where process_id = $1', [retired])).rowCount).toBe(0);
    for (const { data } of later) {
      expect(data).toMatchObject({ action: { kind: 'command' }, process: { revision: 2 } });
    }
  });

  test('disable with an end it resumes by itself; a pause that was moved goes on', async () => {
    const [resumed, moved] = await Promise.all([define('* * * * * *'), define('* * * * * *')]);
    // As clients may write an instant, not as we do.
    const soon = new Date(Date.now() + 3_000).toISOString().replace('Z', '000+00:00');
    await Promise.all([disable(resumed, soon), disable(moved, soon)]);
    await disable(moved, null);
    startClocks(3);
    const fires = await eventually(async () => {
      const found = await firesOf(resumed);
      return found.length > 0 && found;
    });
    for (const { at } of fires) expect(Date.parse(at)).toBeGreaterThanOrEqual(Date.parse(soon));
    expect(await firesOf(moved)).toEqual([]);
    const told = (await everything()).filter(({ stream }) => stream === `process-${resumed}`);
    expect(told.map(({ type }) => type)).toEqual(['ProcessDefined', 'ProcessDisabled', 'ProcessEnabled']);
  });
});

const hour = 3_600_000;
/** Half an hour away from now, so that nothing is on time. */
const hourly = () => `${(new Date().getUTCMinutes() + 30) % 60} * * * *`;

describe('after a gap of five hours', () => {
  test.each([
    ['latest, which is the default', {}, 1],
    ['skip', { catchUp: 'skip' as const }, 0],
    ['all', { catchUp: 'all' as const }, 5],
    ['all within a window', { catchUp: 'all' as const, catchUpWindow: '2h' }, 2],
  ])('%s', async (_, policies: Policies, caughtUp) => {
    const cron = hourly();
    const id = await define(cron, policies);
    const since = new Date(Date.now() - 5 * hour);
    const due = parseCron(cron).between(since, new Date(), 10);
    expect(due).toHaveLength(5);
    await context.pool.query('update timer set watermark = $2, next_at = $3 where process_id = $1', [
      id,
      since,
      due[0],
    ]);
    startClocks(3);
    await eventually(async () => new Date((await timerOf(id)).watermark).getTime() > since.getTime());
    const instants = due.map((at) => at.toISOString());
    const fired = caughtUp === 0 ? [] : instants.slice(-caughtUp);
    expect((await firesOf(id)).map(({ at }) => at).sort()).toEqual(fired);
    const missed = (await everything()).filter(({ stream }) => stream === `schedule-${id}`);
    const left = instants.slice(0, 5 - caughtUp);
    expect(missed.map(({ data }) => data)).toMatchObject(
      left.length > 0 ? [{ process: id, count: left.length, first: left[0], last: left.at(-1) }] : [],
    );
    expect(parseCron(cron).next(new Date())!.toISOString()).toBe(new Date((await timerOf(id)).next_at!).toISOString());
  });
});

describe('a pause', () => {
  const ago = (ms: number) => new Date(Date.now() - ms).toISOString();
  const ticks = (id: string, from: string) => ticksOf(context, { process: id, from, to: ago(0), limit: 100 });

  test('what is due at its very end fires, once', async () => {
    const id = await define('* * * * * *');
    const until = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 2_000).toISOString();
    await disable(id, until);
    startClocks(3);
    const fires = await eventually(async () => {
      const found = await firesOf(id);
      return found.length >= 2 && found;
    });
    expect(fires.map(({ at }) => at).slice(0, 2)).toEqual([until, new Date(Date.parse(until) + 1_000).toISOString()]);
    const told = await ticks(id, new Date(Date.parse(until) - 1_001).toISOString());
    expect(told.slice(0, 2)).toMatchObject([
      { outcome: 'skipped', reason: 'paused' },
      { at: until, run: expect.any(String) },
    ]);
  });

  /** By the rules and rows of today, at another time. */
  function orderAt(now: string, id: string, type: ProcessCommand['type'], data: object) {
    const by = { now, actor: 'ann', correlationId: newId(), commandId: newId() };
    return handle(context.ledger, process, id, { type, meta: by, data } as ProcessCommand, {
      alongside: (_, state, version) => timersAfter(id, state, version),
    });
  }

  /** Defined and paused long ago; nobody has looked since. */
  async function pausedSince(begun: string, until: string | null, cron: string, policies: Policies): Promise<string> {
    const id = newId();
    const settings = { name: id, description: null, action: { kind: 'noop' as const }, policies };
    const defined = { ...settings, triggers: [{ cron, zone: 'UTC' }], number: 1, owner: 'ann' };
    await orderAt(begun, id, 'DefineProcess', defined);
    await orderAt(begun, id, 'DisableProcess', { any: false, reason: 'repair', until });
    return id;
  }

  test.each([
    ['latest, which is the default', {}, 1],
    ['skip', { catchUp: 'skip' as const }, 0],
    ['all', { catchUp: 'all' as const }, 4],
  ])(
    'that ended in an outage: what has been due since then follows the catch-up policy: %s',
    async (_, policies, caughtUp) => {
      const cron = hourly();
      const due = parseCron(cron).between(new Date(Date.now() - 7 * hour), new Date(), 10);
      const until = due[3]!.toISOString();
      const begun = ago(7 * hour);
      const id = await pausedSince(begun, until, cron, policies);
      startClocks(2);
      await eventually(async () => new Date((await timerOf(id)).next_at!).getTime() > Date.now());
      const instants = due.map((at) => at.toISOString());
      const fired = caughtUp === 0 ? [] : instants.slice(-caughtUp);
      expect((await firesOf(id)).map(({ at }) => at).sort()).toEqual(fired);
      const paused = {
        outcome: 'skipped',
        reason: 'paused',
        cause: 'ann',
        text: 'Skipped: the process was paused (repair).',
      };
      expect(await ticks(id, begun)).toMatchObject(
        instants.map((at, i) => {
          if (i < 3) return { at, ...paused };
          return fired.includes(at) ? { at, outcome: 'held' } : { at, outcome: 'skipped', reason: 'missed' };
        }),
      );
    },
  );

  test('whose end nobody has seen: what has been due since then is not decided', async () => {
    const begun = ago(3 * hour);
    const id = await pausedSince(begun, ago(2 * hour), hourly(), {});
    expect(await ticks(id, begun)).toMatchObject([
      { reason: 'paused' },
      { outcome: 'held', reason: 'undecided' },
      { outcome: 'held', reason: 'undecided' },
    ]);
    await enable(id);
    startClocks(1);
    await eventually(async () => (await firesOf(id)).length > 0);
    expect((await ticks(id, begun)).map(({ reason }) => reason)).toEqual(['paused', 'missed', null]);
  });

  test('goes on, with its reason, whatever is revised meanwhile', async () => {
    const begun = ago(5 * hour);
    const id = await pausedSince(begun, null, hourly(), {});
    await orderAt(ago(4 * hour), id, 'ReviseProcess', { any: false, revision: 1, change: { description: 'new' } });
    await orderAt(ago(3 * hour), id, 'DisableProcess', { any: false, reason: 'vendor is down', until: null });
    await orderAt(ago(2 * hour), id, 'ReviseProcess', { any: false, revision: 2, change: { description: 'newer' } });
    const told = await ticks(id, begun);
    const paused = told.map(({ reason, cause, text }) => ({ reason, cause, text }));
    const repair = { reason: 'paused', cause: 'ann', text: 'Skipped: the process was paused (repair).' };
    const vendor = { ...repair, text: 'Skipped: the process was paused (vendor is down).' };
    expect(paused).toEqual([repair, repair, vendor, vendor, vendor]);
  });
});

test('timers that cannot be read harm no other, and do not make the clock spin', async () => {
  const good = await define('* * * * * *');
  const bad = await define('* * * * * *');
  await context.pool.query(
    `update timer set trigger = '{"cron": "every other tuesday", "zone": "UTC"}' where process_id = $1`,
    [bad],
  );
  await context.pool.query(
    `insert into timer (process_id, ordinal, version, trigger, watermark, next_at, definition)
    select gen_random_uuid(), 0, 1, '{"cron": "* * * * *", "zone": "Mars/Olympus"}', now() - interval '1 day', now() - interval '1 day', $1
    from generate_series(1, 700)`,
    [JSON.stringify({ owner: 'ann', policies: {} })],
  );
  startClocks(2);
  await eventually(async () => {
    // Over connections of its own: those of the clocks are taken.
    const fires = (await everything(contexts[2])).map(({ data }) => data as RunRequested);
    const those = fires.filter(({ process }) => process?.id === good);
    const late = those.map(({ requestedAt, scheduledFor }) => Date.parse(requestedAt) - Date.parse(scheduledFor!));
    return late.length >= 3 && Math.min(...late) < 1_000;
  });
  expect(await firesOf(bad)).toEqual([]);
  const [, halted] = await context.ledger.read(`process-${bad}`);
  expect(halted).toMatchObject({
    type: 'ProcessDisabled',
    data: {
      until: null,
      reason: expect.stringMatching(/^its schedule cannot be computed: A cron expression has five fields/),
    },
  });
  // They step aside for a minute.
  for (let warned = 0; world.logged.length > warned; await sleep(1_000)) warned = world.logged.length;
  expect(world.logged.length).toBeGreaterThanOrEqual(701);
});
