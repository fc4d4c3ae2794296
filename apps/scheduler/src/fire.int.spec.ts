import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  calendar,
  calendarId,
  newId,
  process,
  scheduledRunId,
  type Policies,
  type Process,
  type ProcessEvent,
  type ScheduleEvent,
} from '#domain';
import { handle } from '#ledger';
import { type Context } from '#service';
import { World } from '../../../libs/testing/src/context.js';
import { fire, type DueTimer } from './fire.js';
import { readPause, Standing } from './standing.js';
import { timersAfter } from './timers.js';

/** Two schedulers on one ledger, each told the time and stopped between reading a timer and writing down what it decided. */
let world: World;
let one: Context;
let two: Context;

beforeAll(async () => {
  world = await World.create();
  [one, two] = [await world.open(), await world.open()];
});
afterAll(() => world.close());

const by = (now: string) => ({ now, actor: 'ann', correlationId: newId(), commandId: newId() });
const day = (clock: string) => `2026-05-01T${clock}Z`;

/** Defined at 00:30. */
async function define(cron: string, policies: Policies = {}, now = day('00:30:00.000')): Promise<string> {
  const id = newId();
  const settings = { name: id, description: null, action: { kind: 'noop' as const }, policies };
  const data = { ...settings, triggers: [{ cron, zone: 'UTC' }], number: 1, owner: 'ann' };
  const alongside = (_: ProcessEvent[], state: Process, version: number) => timersAfter(id, state, version);
  await handle(one.ledger, process, id, { type: 'DefineProcess', meta: by(now), data }, { creating: true, alongside });
  return id;
}

type Row = DueTimer & { next_at: string };

async function read({ pool }: Context, id: string, now: string): Promise<Row> {
  const text = `select process_id, ordinal, version, trigger, watermark, definition, next_at,
    (select count(*)::integer from event where stream = ('schedule-' || process_id) collate "C") as told
    from timer where process_id = $1`;
  const { rows } = await pool.query<Row>(text, [id]);
  return { ...rows[0]!, now };
}

async function decided(context: Context, row: DueTimer): Promise<boolean> {
  const standing = await Standing.read(context.ledger, await readPause(context.ledger), [row.definition]);
  return fire(context, row, standing);
}

const iso = (instant: Date | string) => new Date(instant).toISOString();
const isBorn = async (id: string, instant: string) =>
  (await one.ledger.read(`run-${scheduledRunId(id, instant)}`)).length > 0;
const notesOf = async (id: string) =>
  ((await one.ledger.read(`schedule-${id}`)) as unknown as ScheduleEvent[]).map(({ data }) => data);

test('who looked further than whose note was first does not move over what that note leaves out', async () => {
  const id = await define('0 * * * *', { catchUp: 'skip' });
  const first = await read(one, id, day('11:30:00.000'));
  const second = await read(two, id, day('12:30:00.000'));
  expect(await decided(one, first)).toBe(true);
  await decided(two, second);
  const row = await read(two, id, day('12:30:00.000'));
  expect([iso(row.watermark), iso(row.next_at)]).toEqual([day('11:30:00.000'), day('12:00:00.000')]);
  expect(await decided(two, row)).toBe(true);
  expect(await notesOf(id)).toMatchObject([
    { count: 11, first: day('01:00:00.000'), last: day('11:00:00.000') },
    { count: 1, first: day('12:00:00.000'), last: day('12:00:00.000') },
  ]);
});

test('what another has noted as missed is not fired by who read before that', async () => {
  const id = await define('0 * * * *');
  const first = await read(one, id, day('11:30:00.000'));
  expect(await decided(two, await read(two, id, day('12:30:00.000')))).toBe(true);
  expect(await decided(one, first)).toBe(false);
  expect(await notesOf(id)).toMatchObject([{ count: 11, last: day('11:00:00.000') }]);
  expect([await isBorn(id, day('11:00:00.000')), await isBorn(id, day('12:00:00.000'))]).toEqual([false, true]);
  expect(iso((await read(one, id, day('12:30:00.000'))).next_at)).toBe(day('13:00:00.000'));
});

test('births that are stale leave their instants due', async () => {
  const id = await define('0 * * * *', { catchUp: 'all', overlap: 'allow' });
  const row = await read(one, id, day('03:30:00.000'));
  const other = { type: 'ScheduleFiresMissed', data: { process: id, trigger: 7 } };
  await one.ledger.append({ stream: `schedule-${id}`, expected: 0, events: [other], meta: by(row.now as string) });
  expect(await decided(one, row)).toBe(false);
  expect(await decided(one, await read(one, id, day('03:30:00.000')))).toBe(true);
  const instants = ['01:00:00.000', '02:00:00.000', '03:00:00.000'].map(day);
  expect(await Promise.all(instants.map((at) => isBorn(id, at)))).toEqual([true, true, true]);
});

test('a window that is extended before its skips are told puts them off again: the timer is not due all the while', async () => {
  const freeze = (to: string) => [{ from: day('10:00:00.000'), to: day(to) }];
  const id = calendarId('freeze');
  const data = { name: 'freeze', description: null, windows: freeze('10:00:05.000') };
  await handle(one.ledger, calendar, id, { type: 'DefineCalendar', meta: by(day('09:00:00.000')), data });
  const often = await define('* * * * * *', { blackouts: ['freeze'] }, day('09:59:59.500'));
  const after = async (now: string) => {
    expect(await decided(one, await read(one, often, now))).toBe(true);
    const { watermark, next_at } = await read(one, often, now);
    return [iso(watermark), iso(next_at)];
  };
  expect(await after(day('10:00:00.010'))).toEqual([day('09:59:59.999'), day('10:00:05.000')]);
  const change = { any: false, change: { windows: freeze('10:00:08.000') } };
  await handle(one.ledger, calendar, id, { type: 'ReviseCalendar', meta: by(day('10:00:02.000')), data: change });
  expect(await after(day('10:00:05.010'))).toEqual([day('09:59:59.999'), day('10:00:08.000')]);
  expect(await after(day('10:00:08.010'))).toEqual([day('10:00:08.010'), day('10:00:09.000')]);
  expect(await notesOf(often)).toMatchObject([{ reason: 'blackout', count: 8 }]);
  expect(await isBorn(often, day('10:00:08.000'))).toBe(true);
});
