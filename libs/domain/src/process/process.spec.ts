import { describe, expect, test } from '@jest/globals';
import { given } from '#testing';
import { type Action } from '../action/action.js';
import { type Meta } from '../decider.js';
import { type ProcessChange, type ProcessEvent, type ProcessSettings } from './process.events.js';
import { process, type ProcessCommand } from './process.js';
import { describeTriggers, expressionOf, scheduleOf, trigger } from './trigger.js';

const now = '2026-05-01T10:00:09.000Z';
const meta = (actor = 'ann'): Meta => ({ now, actor, correlationId: 'c', commandId: 'o' });
const stamp = { by: 'ann', at: now };

const settings: ProcessSettings = {
  ...{ name: 'nightly', description: 'all of it', action: { kind: 'noop' }, policies: { timeout: '1h' } },
  triggers: [{ cron: '0 2 * * *', zone: 'UTC' }],
};
const before = { by: 'ann', at: '2026-05-01T09:00:00.000Z' };
const defined: ProcessEvent = {
  type: 'ProcessDefined',
  data: { ...settings, number: 3, owner: 'ann', ...before },
};
const revised: ProcessEvent = { type: 'ProcessRevised', data: { ...settings, name: 'daily', revision: 2, ...before } };
const enabled: ProcessEvent = { type: 'ProcessEnabled', data: before };
const disabled = (until: string | null = null): ProcessEvent => ({
  type: 'ProcessDisabled',
  data: { reason: 'holiday', until, ...before },
});
const retired: ProcessEvent = { type: 'ProcessRetired', data: before };

const define: ProcessCommand = { type: 'DefineProcess', meta: meta(), data: { ...settings, number: 3, owner: 'ann' } };
const revise = (revision: number, change: ProcessChange): ProcessCommand => ({
  type: 'ReviseProcess',
  meta: meta(),
  data: { any: false, revision, change },
});
const enable: ProcessCommand = { type: 'EnableProcess', meta: meta(), data: { any: false } };
const disable = (until: string | null = null): ProcessCommand => ({
  type: 'DisableProcess',
  meta: meta(),
  data: { any: false, reason: 'holiday', until },
});
const retire: ProcessCommand = { type: 'RetireProcess', meta: meta(), data: { any: false } };
const orders = [revise(1, {}), enable, disable(), retire];
const by = (actor: string, any: boolean, order: ProcessCommand): ProcessCommand =>
  order.type === 'ReviseProcess'
    ? { ...order, meta: meta(actor), data: { ...order.data, any } }
    : { type: 'RetireProcess', meta: meta(actor), data: { any } };

describe('define', () => {
  test('a process is defined with all of its settings', () => {
    given(process, [])
      .when(define)
      .then([{ type: 'ProcessDefined', data: { ...settings, number: 3, owner: 'ann', ...stamp } }]);
  });

  test('disabled from the start on, in one go', () => {
    given(process, [])
      .when({ ...define, data: { ...define.data, disabled: true } } as ProcessCommand)
      .then([
        { type: 'ProcessDefined', data: { ...settings, number: 3, owner: 'ann', ...stamp } },
        { type: 'ProcessDisabled', data: { reason: null, until: null, ...stamp } },
      ]);
  });

  test('a repeat adds nothing', () => {
    given(process, [defined]).when(define).then([]);
    given(process, [defined, retired]).when(define).then([]);
  });
});

describe('who may', () => {
  test.each(orders)('there is nothing to touch: $type', (order) => {
    given(process, []).when(order).thenRefused('not-found', 'PROCESS_NOT_FOUND');
    given(process, [defined, retired]).when(order).thenRefused('not-found', 'PROCESS_NOT_FOUND');
  });

  test('another’s process looks like none', () => {
    given(process, [defined])
      .when(by('eve', false, retire))
      .thenRefused('not-found', 'PROCESS_NOT_FOUND');
    given(process, [defined])
      .when(by('eve', false, revise(9, {})))
      .thenRefused('not-found', 'PROCESS_NOT_FOUND');
  });

  test('who may touch everybody’s does it in his own name, and the owner stays', () => {
    const events: ProcessEvent[] = [
      { type: 'ProcessRevised', data: { ...settings, name: 'x', revision: 2, by: 'root', at: now } },
    ];
    given(process, [defined])
      .when(by('root', true, revise(1, { name: 'x' })))
      .then(events);
    expect([defined, ...events].reduce(process.evolve, process.initial).owner).toBe('ann');
  });
});

describe('a secret that was never answered', () => {
  const shell = (env: Record<string, string | { sealed: string }>): Action => ({ kind: 'command', shell: ':', env });
  const before = shell({ A_TOKEN: { sealed: 'a' }, B_TOKEN: { sealed: 'b' }, OLD_KEY: 'in clear', MODE: 'x' });
  const state: ProcessEvent[] = [defined, { type: 'ProcessRevised', data: { ...revised.data, action: before } }];
  const kept = { secret: true as const };
  const change = (env: Record<string, string | { sealed: string } | { secret: true }>) =>
    revise(2, { action: { kind: 'command', shell: 'other', env } });

  test('stays where it comes back as it was answered; another takes its place', () => {
    const env = { A_TOKEN: kept, B_TOKEN: { sealed: 'c' }, OLD_KEY: kept, MODE: 'y' };
    const action = { kind: 'command' as const, shell: 'other' };
    const after = { A_TOKEN: { sealed: 'a' }, B_TOKEN: { sealed: 'c' }, OLD_KEY: 'in clear', MODE: 'y' };
    given(process, state)
      .when(change(env))
      .then([
        {
          type: 'ProcessRevised',
          data: { ...settings, name: 'daily', action: { ...action, env: after }, revision: 3, ...stamp },
        },
      ]);
  });

  test('goes with its variable, and stays when the action is not named', () => {
    const actionAfter = (command: ProcessCommand) =>
      (process.decide(state.reduce(process.evolve, process.initial), command)[0]!.data as ProcessSettings).action;
    expect(actionAfter(change({ A_TOKEN: kept }))).toMatchObject({ env: { A_TOKEN: { sealed: 'a' } } });
    expect(actionAfter(revise(2, { name: 'x' }))).toEqual(before);
    expect(actionAfter(revise(2, { action: { kind: 'noop' } }))).toEqual({ kind: 'noop' });
  });

  test.each(['NEW_TOKEN', '__proto__', 'constructor'])('cannot be kept where there is none: %s', (name) => {
    const order = change(Object.fromEntries([[name, kept]]));
    given(process, state).when(order).thenRefused('malformed', 'NO_SUCH_SECRET');
    const plain: ProcessEvent[] = [defined, revised];
    given(process, plain).when(order).thenRefused('malformed', 'NO_SUCH_SECRET');
  });
});

describe('revise', () => {
  test('what is not named stays; null is a value', () => {
    given(process, [defined])
      .when(revise(1, { name: 'daily', description: null }))
      .then([
        { type: 'ProcessRevised', data: { ...settings, name: 'daily', description: null, revision: 2, ...stamp } },
      ]);
    given(process, [defined, revised])
      .when(revise(2, { triggers: [] }))
      .then([{ type: 'ProcessRevised', data: { ...settings, name: 'daily', triggers: [], revision: 3, ...stamp } }]);
  });

  test.each([0, 1, 3])('of revision %i when 2 is the current one', (revision) => {
    given(process, [defined, revised])
      .when(revise(revision, { name: 'x' }))
      .thenRefused('conflict', 'REVISION_STALE');
  });

  describe('in the words of a surface', () => {
    const words = (command: string) => ({ surface: 'tasks', words: { command, args: '{}' } });
    const told: ProcessEvent[] = [
      defined,
      { type: 'ProcessRevised', data: { ...settings, document: words('backup'), revision: 2, ...before } },
    ];
    const other = { kind: 'command' as const, shell: 'other' };

    test('which stay while the action does', () => {
      const data = { ...settings, name: 'daily', document: words('backup'), revision: 3, ...stamp };
      given(process, told)
        .when(revise(2, { name: 'daily' }))
        .then([{ type: 'ProcessRevised', data }]);
    });

    test('which go with the action', () => {
      given(process, told)
        .when(revise(2, { action: other }))
        .then([{ type: 'ProcessRevised', data: { ...settings, action: other, revision: 3, ...stamp } }]);
    });

    test('which come with a new one', () => {
      const data = { ...settings, action: other, document: words('other'), revision: 3, ...stamp };
      given(process, told)
        .when(revise(2, { action: other, document: words('other') }))
        .then([{ type: 'ProcessRevised', data }]);
    });
  });

  test.each([true, false])('and, in the same go, enabled: %s', (on) => {
    const order = { type: 'ReviseProcess', meta: meta(), data: { any: false, revision: 1, change: {}, enabled: on } };
    const event: ProcessEvent = { type: 'ProcessRevised', data: { ...settings, revision: 2, ...stamp } };
    const off: ProcessEvent = { type: 'ProcessDisabled', data: { reason: null, until: null, ...stamp } };
    given(process, [defined])
      .when(order as ProcessCommand)
      .then(on ? [event] : [event, off]);
    given(process, [defined, disabled()])
      .when(order as ProcessCommand)
      .then(on ? [event, { type: 'ProcessEnabled', data: stamp }] : [event]);
  });

  test('leaves it disabled, with the same end of the pause', () => {
    const until = '2026-06-01T00:00:00.000Z';
    const state = [defined, disabled(until), revised].reduce(process.evolve, process.initial);
    expect(state).toMatchObject({ status: 'disabled', until, revision: 2 });
  });
});

describe('enable and disable', () => {
  test('enable', () => {
    given(process, [defined, disabled()])
      .when(enable)
      .then([{ type: 'ProcessEnabled', data: stamp }]);
    given(process, [defined]).when(enable).then([]);
    given(process, [defined, disabled(), enabled]).when(enable).then([]);
  });

  test('disable, for good or until an instant', () => {
    const until = '2026-06-01T00:00:00.000Z';
    given(process, [defined])
      .when(disable())
      .then([{ type: 'ProcessDisabled', data: { reason: 'holiday', until: null, ...stamp } }]);
    given(process, [defined, disabled()])
      .when(disable(until))
      .then([{ type: 'ProcessDisabled', data: { reason: 'holiday', until, ...stamp } }]);
  });

  test('disable again adds nothing; another reason takes the place of the one before, or of none', () => {
    given(process, [defined, disabled()]).when(disable()).then([]);
    given(process, [defined, disabled(), revised]).when(disable()).then([]);
    const silent: ProcessEvent = { type: 'ProcessDisabled', data: { reason: null, until: null, ...before } };
    const holiday: ProcessEvent = { type: 'ProcessDisabled', data: { reason: 'holiday', until: null, ...stamp } };
    given(process, [defined, silent]).when(disable()).then([holiday]);
    given(process, [defined, disabled(), enabled, silent]).when(disable()).then([holiday]);
  });

  test('enabling ends the pause’s end as well', () => {
    const state = [defined, disabled('2026-06-01T00:00:00.000Z'), enabled].reduce(process.evolve, process.initial);
    expect(state).toMatchObject({ status: 'enabled', until: null });
  });

  test.each(['2026-05-01T10:00:08.999Z', now, '2026-05-01T12:00:09+02:00'])(
    'an end that is past is refused: %s',
    (until) => {
      given(process, [defined]).when(disable(until)).thenRefused('malformed', 'UNTIL_PAST');
      given(process, [defined, disabled()]).when(disable(until)).thenRefused('malformed', 'UNTIL_PAST');
    },
  );
});

describe('the end of a pause', () => {
  const come = '2026-05-01T10:00:00.000Z';
  const later = '2026-05-01T10:00:10.000Z';
  const resume = (onlyUntil: string): ProcessCommand => ({ ...enable, data: { any: true, onlyUntil } });
  const resumed = (from?: string): ProcessEvent => ({
    type: 'ProcessEnabled',
    data: { ...(from ? { from } : {}), ...stamp },
  });
  const sinceOf = (...events: ProcessEvent[]) => events.reduce(process.evolve, process.initial).since;

  test('is told where it has come, whoever enables', () => {
    given(process, [defined, disabled(come)])
      .when(resume(come))
      .then([resumed(come)]);
    given(process, [defined, disabled(come)])
      .when(enable)
      .then([resumed(come)]);
    given(process, [defined, disabled(later)])
      .when(enable)
      .then([resumed()]);
  });

  test('is what the order says, though the clock here may be behind', () => {
    given(process, [defined, disabled(later)])
      .when(resume(later))
      .then([resumed(later)]);
  });

  test('that has been moved, or of a pause that is over, ends nothing', () => {
    given(process, [defined, disabled(later)])
      .when(resume(come))
      .then([]);
    given(process, [defined, disabled()]).when(resume(come)).then([]);
    given(process, [defined, disabled(come), resumed(come)])
      .when(resume(come))
      .then([]);
  });

  test('what is due at that very instant counts; without one, what is due after the order', () => {
    expect(sinceOf(defined, disabled(come), resumed(come))).toBe('2026-05-01T09:59:59.999Z');
    expect(sinceOf(defined, disabled(), resumed())).toBe(now);
  });

  test('takes nothing from a revision that came after it', () => {
    const at = '2026-05-01T10:00:05.000Z';
    const change: ProcessEvent = { type: 'ProcessRevised', data: { ...revised.data, at } as never };
    expect(sinceOf(defined, disabled(come), change, resumed(come))).toBe(at);
  });
});

test('retire, enabled or not', () => {
  given(process, [defined])
    .when(retire)
    .then([{ type: 'ProcessRetired', data: stamp }]);
  given(process, [defined, disabled()])
    .when(retire)
    .then([{ type: 'ProcessRetired', data: stamp }]);
});

test('an event of a newer version is passed over', () => {
  const state = process.evolve(process.initial, defined);
  expect(process.evolve(state, JSON.parse('{"type":"ProcessBlessed","data":{}}'))).toEqual(state);
});

describe('a trigger', () => {
  test('is in UTC unless it says otherwise', () => {
    expect(trigger.parse({ cron: '0 2 * * *' })).toEqual({ cron: '0 2 * * *', zone: 'UTC' });
    expect(trigger.parse({ cron: '@daily', zone: 'Europe/Vienna' })).toEqual({ cron: '@daily', zone: 'Europe/Vienna' });
  });

  test.each([
    [{ cron: '' }, 'cron'],
    [{ cron: '61 * * * *' }, 'cron'],
    [{ cron: '0 0 30 2 *' }, 'cron'],
    [{ cron: '0 2 * * *', zone: 'Mars/Olympus' }, 'cron'],
    [{ cron: '0 2 * * *', zone: '' }, 'zone'],
    [{ zone: 'UTC' }, 'cron'],
    [{}, 'cron'],
    [{ every: 'often' }, 'every'],
    [{ every: '500ms' }, 'every'],
    [{ every: '367d' }, 'every'],
    [{ every: '90s', zone: 'UTC' }, 'zone'],
    [{ every: '90s', at: '2027-01-01T00:00:00Z' }, 'at'],
    [{ cron: '0 2 * * *', every: '90s' }, 'every'],
    [{ at: 'tomorrow' }, 'at'],
    [{ at: '2027-01-01T00:00:00' }, 'at'],
  ])('%j is refused', (value, path) => {
    const { error } = trigger.safeParse(value);
    expect(error?.issues[0]?.path).toEqual([path]);
  });

  test('every so often, at whole multiples since 1970', () => {
    expect(trigger.parse({ every: '90s' })).toEqual({ every: '90s' });
    const schedule = scheduleOf({ every: '90s' });
    const from = new Date('2026-05-01T10:00:00Z');
    expect(schedule.between(from, new Date('2026-05-01T10:04:30Z'), 10).map((at) => at.toISOString())).toEqual([
      '2026-05-01T10:01:30.000Z',
      '2026-05-01T10:03:00.000Z',
      '2026-05-01T10:04:30.000Z',
    ]);
    expect(schedule.words).toBe('every 90 seconds');
    expect(['1d', '1s', '2h', '1500ms'].map((every) => scheduleOf({ every }).words)).toEqual([
      'every day',
      'every second',
      'every 2 hours',
      'every 1500 milliseconds',
    ]);
  });

  test('at an instant, once', () => {
    const at = trigger.parse({ at: '2027-01-01T01:00:00+01:00' });
    expect(at).toEqual({ at: '2027-01-01T00:00:00.000Z' });
    const schedule = scheduleOf(at);
    const [before, later] = [new Date('2026-05-01T10:00:00Z'), new Date('2027-05-01T10:00:00Z')];
    expect(schedule.between(before, later, 10).map((each) => each.toISOString())).toEqual(['2027-01-01T00:00:00.000Z']);
    expect(schedule.next(new Date('2027-01-01T00:00:00Z'))).toBeNull();
    expect(schedule.words).toBe('once, at 2027-01-01 00:00:00 (UTC)');
  });

  test('has words, together with its neighbours', () => {
    const all = [{ cron: '0 2 * * *', zone: 'Europe/Vienna' }, { every: '1h' }];
    expect(describeTriggers(all)).toBe('at 02:00 every day (Europe/Vienna); every hour');
    expect(describeTriggers([])).toBeNull();
    // As it may be in the ledger: the zone was there when it was defined.
    const gone = { cron: '0 2 * * *', zone: 'Mars/Olympus' };
    expect(describeTriggers([gone, { every: '1h' }])).toMatch(/^.*Mars\/Olympus.*; every hour$/);
    expect([...all, { at: '2027-01-01T00:00:00.000Z' }].map(expressionOf)).toEqual([
      '0 2 * * *',
      '@every 1h',
      '@at 2027-01-01T00:00:00.000Z',
    ]);
  });

  test('at an instant that is past is refused, unless it has been there before', () => {
    const past = { at: '2026-05-01T10:00:09.000Z' };
    const before: ProcessEvent = { type: 'ProcessDefined', data: { ...defined.data, triggers: [past] } as never };
    given(process, [])
      .when({ ...define, data: { ...settings, triggers: [past], number: 3, owner: 'ann' } } as ProcessCommand)
      .thenRefused('malformed', 'TRIGGER_PAST');
    given(process, [defined])
      .when(revise(1, { triggers: [{ every: '1h' }, past] }))
      .thenRefused('malformed', 'TRIGGER_PAST');
    given(process, [before])
      .when(revise(1, { triggers: [past, { every: '1h' }] }))
      .then([
        {
          type: 'ProcessRevised',
          data: { ...settings, triggers: [past, { every: '1h' }], revision: 2, ...stamp },
        },
      ]);
  });

  test('refuses what it does not know', () => {
    expect(trigger.safeParse({ cron: '0 2 * * *', timezone: 'UTC' }).success).toBe(false);
  });
});
