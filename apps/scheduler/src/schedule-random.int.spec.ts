import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  calendar,
  calendarId,
  newId,
  pause,
  process,
  type Policies,
  type Process,
  type ProcessCommand,
  type ProcessEvent,
  type ScheduleEvent,
  type Trigger,
} from '#domain';
import { handle } from '#ledger';
import { type Context } from '#service';
import {
  generator,
  HOUR,
  MINUTE,
  readings,
  slowly,
  type Tick as Reading,
} from '../../../libs/domain/src/cron/slow-walk.harness.js';
import { World } from '../../../libs/testing/src/context.js';
import { fire, type DueTimer } from './fire.js';
import { pauseStream, readPause, Standing } from './standing.js';
import { ticksOf } from './ticks.js';
import { resumeOrdinal, timersAfter } from './timers.js';

/**
 * Processes live through thirty virtual days with outages, pauses, blackouts and edits: the clock's own decisions on the real
 * ledger, with a clock that is told the time. What is due is told by the slow walk, which shares nothing with them.
 */
const seed = Number(globalThis.process.env['SCHEDULE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const schedules = 500;
const begin = Date.parse('2026-03-10T00:00:00Z');
const end = begin + 30 * 24 * HOUR;
const zones = [
  'UTC',
  'Europe/Vienna',
  'America/New_York',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'America/Santiago',
] as const;
const { below, pick } = generator(seed);

interface Interval {
  from: number;
  to: number;
}
const iso = (at: number) => new Date(at).toISOString();
const within = (intervals: readonly Interval[], at: number) => intervals.find(({ from, to }) => from <= at && at < to);

/** Apart from each other, on whole milliseconds that are no due instant's. */
function intervals(count: number, longest: number): Interval[] {
  const stretch = (end - begin) / count;
  return Array.from({ length: count }, (_, i) => {
    const from = begin + Math.floor(i * stretch) + below(stretch / 4) + 7;
    return { from, to: from + MINUTE + below(Math.min(longest, stretch / 2)) };
  });
}

const outages = intervals(12, 20 * HOUR);
const pauses = intervals(5, 30 * HOUR);
const blackouts = { nights: intervals(14, 12 * HOUR), freeze: intervals(2, 72 * HOUR) };

interface Life {
  id: string;
  policies: Policies;
  edits: { at: number; trigger: Trigger }[];
  disabled: Disabled[];
}

/** Ended by hand, or by itself: then at an instant that may be due as well. */
type Disabled = Interval & { byHand: boolean };

let world: World;
let context: Context;
const walks = new Map<string, Reading[]>();

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
  for (const zone of zones) walks.set(zone, readings(zone, begin, end, MINUTE));
  const by = (at: number) => ({ now: iso(at), actor: 'root', correlationId: newId(), commandId: newId() });
  for (const [name, windows] of Object.entries(blackouts)) {
    const data = {
      name,
      description: null,
      windows: windows.map(({ from, to }) => ({ from: iso(from), to: iso(to) })),
    };
    await handle(context.ledger, calendar, calendarId(name), { type: 'DefineCalendar', meta: by(begin - 2), data });
  }
  for (const { from, to } of pauses) {
    const id = pauseStream.slice('pause-'.length);
    await handle(context.ledger, pause, id, {
      type: 'BeginPause',
      meta: by(from),
      data: { reason: 'drill', until: iso(to) },
    });
  }
});
afterAll(() => world.close());

function randomTrigger(): Trigger {
  const hours = pick('*/12', '2', '3', '1-3', '0,2', ...[0, 1, 2, 3].map(() => String(below(24))));
  const days = pick('*', '*', '*/2', '1-5', 'L', String(1 + below(28)));
  const weekdays = pick('*', '*', '*', '1-5', '0', '*/2');
  const minutes = pick('0', '30', '0', String(below(60)), '*/30');
  return { cron: `${minutes} ${hours} ${days} * ${weekdays}`, zone: pick(...zones) };
}

function randomLife(): Life {
  const edits = [{ at: begin, trigger: randomTrigger() }];
  for (let i = below(3); i > 0; i--)
    edits.push({ at: begin + HOUR + below(29 * 24 * HOUR) + 3, trigger: randomTrigger() });
  const named = pick([], [], ['nights'], ['freeze'], ['nights', 'freeze']) as string[];
  return {
    id: newId(),
    policies: {
      catchUp: pick('skip', 'latest', 'all'),
      catchUpWindow: pick('1h', '6h', '1d'),
      overlap: 'allow',
      ...(named.length > 0 ? { blackouts: named } : {}),
    },
    edits: edits.sort((a, b) => a.at - b.at),
    disabled: below(2) ? [] : intervals(2, 48 * HOUR).map(disabledFor),
  };
}

function disabledFor({ from, to }: Interval): Disabled {
  if (below(2)) return { from, to, byHand: true };
  return { from, to: Math.ceil(to / (30 * MINUTE)) * 30 * MINUTE, byHand: false };
}

type Order = { at: number; command: ProcessCommand };

const meta = (at: number) => ({ now: iso(at), actor: 'ann', correlationId: newId(), commandId: newId() });

function ordersOf({ policies, edits, disabled }: Life): Order[] {
  const settings = { name: 'random', description: null, action: { kind: 'noop' as const }, policies };
  const orders = edits.map(({ at, trigger }, i): Order => {
    if (i === 0) {
      const data = { ...settings, triggers: [trigger], number: 1, owner: 'ann' };
      return { at, command: { type: 'DefineProcess', meta: meta(at), data } };
    }
    const data = { any: false, revision: i, change: { triggers: [trigger] } };
    return { at, command: { type: 'ReviseProcess', meta: meta(at), data } };
  });
  for (const { from, to, byHand } of disabled) {
    const data = { any: false, reason: 'repair', until: byHand ? null : iso(to) };
    orders.push({ at: from, command: { type: 'DisableProcess', meta: meta(from), data } });
    if (byHand) orders.push({ at: to, command: { type: 'EnableProcess', meta: meta(to), data: { any: false } } });
  }
  return orders.sort((a, b) => a.at - b.at);
}

/** When a clock looks that is down in outages and decides nothing in pauses. */
function seenAt(due: number): number {
  let at = due;
  for (let found; (found = within(outages, at) ?? within(pauses, at));) at = found.to;
  return at;
}

/** Up to when a clock that has looked until then has decided everything. */
function seenBy(then: number): number {
  let at = then;
  for (let found; (found = within(outages, at) ?? within(pauses, at));) at = found.from - 1;
  return at;
}

async function live(life: Life): Promise<void> {
  const { ledger, pool } = context;
  const carryOut = (command: ProcessCommand) =>
    handle(ledger, process, life.id, command, {
      alongside: (_: ProcessEvent[], state: Process, version: number) => timersAfter(life.id, state, version),
      creating: command.type === 'DefineProcess',
    });
  const orders = ordersOf(life);
  for (;;) {
    const text = `select process_id, ordinal, version, trigger, watermark, definition, next_at,
      (select count(*)::integer from event where stream = ('schedule-' || process_id) collate "C") as told
      from timer where process_id = $1 and next_at <= $2 order by next_at limit 1`;
    const { rows } = await pool.query<DueTimer & { next_at: string }>({
      name: 'next',
      text,
      values: [life.id, iso(end)],
    });
    const row = rows[0];
    const at = row ? seenAt(Date.parse(row.next_at)) + below(900) : Infinity;
    const [order] = orders;
    if (order && order.at <= at) {
      orders.shift();
      await carryOut(order.command);
      continue;
    }
    if (!row || at > end) return;
    if (row.ordinal === resumeOrdinal) {
      const data = { any: true, onlyUntil: new Date(row.next_at).toISOString() };
      await carryOut({ type: 'EnableProcess', meta: meta(at), data });
      continue;
    }
    const standing = await Standing.read(ledger, await readPause(ledger), [row.definition]);
    expect(await fire(context, { ...row, now: iso(at) }, standing)).toBe(true);
  }
}

function expectedOf({ edits }: Life): string[] {
  return edits.flatMap(({ at, trigger }, i) => {
    const { cron, zone } = trigger as { cron: string; zone: string };
    const until = edits[i + 1]?.at ?? end;
    return slowly(cron, walks.get(zone)!, MINUTE)
      .filter((instant) => instant > at && instant <= until)
      .map(iso);
  });
}

/** Why an instant may not fire, by what was done to the process, and not by what was written down. */
function allowed({ policies, disabled, edits }: Life, at: number): Record<string, boolean> {
  const down = within(outages, at) !== undefined;
  const frozen = (policies.blackouts ?? []).some((name) => within(blackouts[name as 'nights'], at));
  // An end that was given beforehand changes nothing, whenever it is seen.
  const ends = disabled.flatMap(({ from, to, byHand }) => (byHand ? [from, to] : [from]));
  const changes = [...edits.map((edit) => edit.at), ...ends];
  // A clock that looks late finds another definition.
  const overtaken = changes.some((change) => at <= change && change <= seenAt(at) + 900);
  const paused = within(pauses, at) !== undefined || within(disabled, at) !== undefined;
  return { paused, blackout: frozen, missed: down, changed: overtaken };
}

async function birthsByProcess(): Promise<Map<string, string[]>> {
  const text = `select data->'process'->>'id' as id, array_agg(data->>'scheduledFor') as births
    from event where type = 'RunRequested' group by 1`;
  const { rows } = await context.pool.query<{ id: string; births: string[] }>(text);
  return new Map(rows.map(({ id, births }) => [id, births]));
}

test(`${schedules} random schedules over thirty days: each due instant fired or was skipped for a reason, once`, async () => {
  const lives = Array.from({ length: schedules }, randomLife);
  await Promise.all(lives.map(live));
  const outcomes: Record<string, number> = {};
  const births = await birthsByProcess();
  for (const life of lives) {
    const told = `SCHEDULE_SEED=${seed} ${JSON.stringify(life)}`;
    // The clock has looked at everything that it could see by then.
    const to = iso(seenBy(end - MINUTE));
    const ticks = await ticksOf(context, { process: life.id, from: iso(begin), to, limit: 1e6 });
    expect([told, ticks.map(({ at }) => at)]).toEqual([told, expectedOf(life).filter((at) => at <= to)]);
    for (const { at, outcome, reason, text } of ticks) {
      const may = allowed(life, Date.parse(at));
      const name = outcome === 'skipped' ? `skipped ${reason}` : 'fired';
      outcomes[name] = (outcomes[name] ?? 0) + 1;
      const right = outcome === 'skipped' ? may[reason!] : !may['paused'] && !may['blackout'];
      expect([told, at, outcome, reason, text, right]).toEqual([told, at, outcome, reason, text, true]);
    }
    const runs = ticks.filter(({ run }) => run !== null).length;
    const notes = (await context.ledger.read(`schedule-${life.id}`)) as unknown as ScheduleEvent[];
    const past = notes.map(({ data }) => data).filter(({ last }) => last <= to);
    const noted = ticks.filter(
      ({ at, run }) => run === null && past.some(({ first, last }) => first <= at && at <= last),
    );
    expect([told, past.reduce((sum, { count }) => sum + count, 0)]).toEqual([told, noted.length]);
    const born = (births.get(life.id) ?? []).filter((at) => at <= to);
    expect([told, born.length]).toEqual([told, runs]);
  }
  // Each kind came about: the test saw what it is for.
  for (const kind of ['fired', 'skipped paused', 'skipped blackout', 'skipped missed', 'skipped changed'])
    expect([kind, outcomes[kind]! > 0]).toEqual([kind, true]);
}, 600_000);
