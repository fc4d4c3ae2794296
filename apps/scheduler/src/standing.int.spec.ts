import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { handle, type StoredEvent } from '#ledger';
import {
  calendar,
  calendarId,
  newId,
  process,
  user,
  type Policies,
  type Role,
  type RunRequested,
  type Window,
} from '#domain';
import { type Context } from '#service';
import { eventually, metaBy, World } from '../../../libs/testing/src/context.js';
import { CalendarController } from './calendar.controller.js';
import { Clock } from './clock.js';
import { PauseController } from './pause.controller.js';
import { ProcessController } from './process.controller.js';
import { ScheduleController } from './schedule.controller.js';

let world: World;
let context: Context;
let processes: ProcessController;
let pauses: PauseController;
let calendars: CalendarController;
let clock: Clock;

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
  processes = new ProcessController(context);
  pauses = new PauseController(context);
  calendars = new CalendarController(context);
  clock = new Clock(context);
  clock.onApplicationBootstrap();
});
afterEach(async () => {
  await context.pool.query('delete from timer; delete from queue');
});
afterAll(async () => {
  await clock.onApplicationShutdown();
  await world.close();
});

const meta = (actor = 'ann') => ({ actor, correlationId: newId() });

async function define(policies: Policies = {}, owner = 'ann', action: object = { kind: 'noop' }): Promise<string> {
  const id = newId();
  const settings = { name: id, description: null, action: action as { kind: 'noop' }, policies };
  const triggers = [{ cron: '* * * * * *', zone: 'UTC' }];
  await processes.define({ data: { id, ...settings, triggers }, meta: meta(owner) });
  return id;
}

async function everything(): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (let page: StoredEvent[]; (page = await context.ledger.readFrom(all.at(-1)?.position ?? '0', 5_000)).length > 0;)
    all.push(...page);
  return all;
}

async function firesOf(id: string): Promise<{ at: string; position: bigint }[]> {
  const requested = (await everything()).filter(({ type }) => type === 'RunRequested');
  return requested
    .map(({ position, data }) => ({ position: BigInt(position), data: data as RunRequested }))
    .filter(({ data }) => data.process?.id === id)
    .map(({ position, data }) => ({ position, at: data.scheduledFor! }));
}

async function firesUntil(id: string, count: number) {
  return eventually(async () => {
    const fires = await firesOf(id);
    return fires.length >= count && fires;
  });
}

/** What stands for each instant so far, but the newest ones, which may be yet to be decided. */
async function ticksOf(id: string) {
  const range = { from: new Date(Date.now() - 60_000).toISOString(), to: new Date().toISOString(), limit: 1_000 };
  return new ScheduleController(context).ticks({ data: { process: id, ...range }, meta: meta() });
}

test('a pause of everything: no run begins after its answer, until it is ended; each instant says so', async () => {
  const id = await define();
  await firesUntil(id, 2);
  const begun = BigInt((await pauses.begin({ data: { reason: 'fire drill', until: null }, meta: meta() })).position);
  expect(await pauses.get({ data: {}, meta: meta() })).toMatchObject({ reason: 'fire drill', to: null, by: 'ann' });
  const paused = (await firesOf(id)).length;
  const hand = await processes.run({ data: { id, any: false, run: newId(), parameters: null }, meta: meta() });
  expect(hand.events[0]?.type).toBe('RunRequested');
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  const ended = BigInt((await pauses.end({ data: {}, meta: meta() })).position);
  const fires = await firesUntil(id, paused + 3);
  const between = fires.filter(({ at, position }) => at !== null && position > begun && position < ended);
  expect(between).toEqual([]);
  const ticks = await ticksOf(id);
  const skipped = ticks.filter(({ outcome }) => outcome === 'skipped');
  expect(skipped.length).toBeGreaterThanOrEqual(2);
  for (const { reason, cause, text } of skipped)
    expect([reason, cause, text]).toEqual(['paused', 'fire drill', 'Skipped: everything was paused (fire drill).']);
  expect(await pauses.get({ data: {}, meta: meta() })).toBeNull();
});

test('a pause with an end lets go by itself', async () => {
  const until = new Date(Date.now() + 2_000).toISOString();
  await pauses.begin({ data: { reason: 'short', until }, meta: meta() });
  const id = await define();
  const [first] = await firesUntil(id, 1);
  expect(first!.at >= until).toBe(true);
});

const always: Window[] = [{ cron: '* * * * *', zone: 'UTC', for: '2m' }];

test('a blackout calendar: nothing fires while a window is open, and it fires again when the calendar is gone', async () => {
  await calendars.define({ data: { name: 'Freeze', description: null, windows: always }, meta: meta() });
  const id = await define({ blackouts: ['freeze'] });
  const free = await define();
  await firesUntil(free, 2);
  const told = await eventually(async () => {
    const notes = (await everything()).filter(({ stream }) => stream === `schedule-${id}`);
    return notes.length > 0 && notes;
  });
  expect(told[0]).toMatchObject({
    type: 'ScheduleFiresSkipped',
    data: { reason: 'blackout', cause: 'freeze', process: id },
  });
  expect(await firesOf(id)).toEqual([]);
  expect((await ticksOf(id))[0]).toMatchObject({
    outcome: 'skipped',
    text: 'Skipped: the blackout calendar “freeze” was in force.',
  });
  expect(await calendars.list({ data: {}, meta: meta() })).toEqual([
    { id: calendarId('freeze'), name: 'Freeze', description: null, windows: always, owner: 'ann' },
  ]);
  await calendars.retire({ data: { id: calendarId('freeze'), any: false }, meta: meta() });
  await firesUntil(id, 1);
});

test('a window whose zone there is no more pauses who names its calendar, and says that it is the calendar', async () => {
  const windows: Window[] = [{ cron: '0 22 * * *', zone: 'Mars/Olympus', for: '1h' }];
  const data = { name: 'nights', description: null, windows };
  await handle(context.ledger, calendar, calendarId('nights'), { type: 'DefineCalendar', meta: metaBy(), data });
  const id = await define({ blackouts: ['nights'] });
  const paused = await eventually(async () => (await context.ledger.read(`process-${id}`))[1]);
  const reason = /^its schedule cannot be computed: the blackout calendar “nights” has a window that cannot be: .*Mars/;
  expect(paused).toMatchObject({ type: 'ProcessDisabled', data: { reason: expect.stringMatching(reason) } });
  expect(await firesOf(id)).toEqual([]);
});

test('a trigger whose zone there is no more has no instants; its neighbour has; nobody enables it', async () => {
  const id = newId();
  const gone = { cron: '* * * * * *', zone: 'Mars/Olympus' };
  const settings = { name: id, description: null, action: { kind: 'noop' as const }, policies: {}, owner: 'ann' };
  const now = new Date(Date.now() - 30_000).toISOString();
  const data = { ...settings, number: 1, triggers: [gone, { every: '10s' }] };
  const order = { type: 'DefineProcess' as const, meta: { ...metaBy(), now }, data };
  await handle(context.ledger, process, id, order, { creating: true });
  expect(await ticksOf(id)).toHaveLength(3);
  const one = { id, any: false };
  await processes.disable({ data: { ...one, reason: null, until: null }, meta: meta() });
  const enabling = processes.enable({ data: one, meta: meta() });
  await expect(enabling).rejects.toMatchObject({ kind: 'rejected', code: 'TRIGGER_BROKEN' });
});

test('a calendar that there is not cannot be named', async () => {
  await expect(define({ blackouts: ['no such'] })).rejects.toMatchObject({
    kind: 'malformed',
    code: 'NO_SUCH_CALENDAR',
  });
  const id = await define();
  const change = { policies: { blackouts: ['no such'] } };
  const revise = processes.revise({ data: { id, any: false, revision: 1, change }, meta: meta() });
  await expect(revise).rejects.toMatchObject({ kind: 'malformed', code: 'NO_SUCH_CALENDAR' });
});

test('a calendar that was retired may stay named, but not be named anew', async () => {
  const settings = { description: null, windows: always };
  for (const name of ['leaves', 'stays']) await calendars.define({ data: { name, ...settings }, meta: meta() });
  const id = await define({ blackouts: ['leaves'] });
  const other = await define({ blackouts: ['stays'] });
  await calendars.retire({ data: { id: calendarId('leaves'), any: false }, meta: meta() });
  const name = (process: string, ...blackouts: string[]) => {
    const change = { policies: { blackouts, priority: 7 } };
    return processes.revise({ data: { id: process, any: false, revision: 1, change }, meta: meta() });
  };
  expect((await name(id, 'stays', 'Leaves')).events[0]?.type).toBe('ProcessRevised');
  await expect(name(other, 'stays', 'leaves')).rejects.toMatchObject({ code: 'NO_SUCH_CALENDAR' });
});

async function userWith(role: Role): Promise<string> {
  const id = newId();
  const data = { number: 1, username: id, email: `${id}@example.com`, role };
  await handle(context.ledger, user, id, { type: 'RegisterUser', meta: metaBy('root'), data }, { creating: true });
  return id;
}

const change = (id: string, data: { role?: Role; active?: boolean }) =>
  handle(context.ledger, user, id, { type: 'ChangeUser', meta: metaBy('root'), data });

test.each([
  ['deactivated', { active: false }, { active: true }, 'its owner is deactivated'],
  ['demoted', { role: 'viewer' as const }, { role: 'operator' as const }, 'its owner’s role, viewer, may not run it'],
  [
    'no longer allowed commands',
    { role: 'user' as const },
    { role: 'admin' as const },
    'its owner’s role, user, may not run it',
  ],
])('an owner who is %s: nothing of his fires after that, until he is back', async (_, lost, back, cause) => {
  const owner = await userWith('operator');
  const id = await define({ overlap: 'allow' }, owner, { kind: 'command', shell: ':' });
  await firesUntil(id, 1);
  const after = BigInt((await change(owner, lost)).position);
  const told = await eventually(async () => {
    const notes = (await everything()).filter(({ stream }) => stream === `schedule-${id}`);
    return notes.length > 0 && notes;
  });
  expect(told[0]).toMatchObject({ type: 'ScheduleFiresSkipped', data: { reason: 'owner', cause } });
  expect((await firesOf(id)).filter(({ position }) => position > after)).toEqual([]);
  const before = (await firesOf(id)).length;
  await change(owner, back);
  await firesUntil(id, before + 1);
  expect((await ticksOf(id)).find(({ reason }) => reason === 'owner')).toMatchObject({ outcome: 'skipped', cause });
});
