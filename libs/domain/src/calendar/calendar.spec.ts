import { describe, expect, test } from '@jest/globals';
import { given } from '#testing';
import { fold, type Meta } from '../decider.js';
import { type CalendarEvent, type Window } from './calendar.events.js';
import { calendar, calendarId, type CalendarCommand } from './calendar.js';
import { endOfWindow, window } from './window.js';

const at = '2026-05-01T10:00:00.000Z';
const meta = (actor = 'ann'): Meta => ({ now: at, actor, correlationId: 'c', commandId: 'o' });
const freeze: Window = { from: '2026-12-24T00:00:00.000Z', to: '2026-12-27T00:00:00.000Z' };
const settings = { name: 'Freeze', description: null, windows: [freeze] };
const defined: CalendarEvent = { type: 'CalendarDefined', data: { ...settings, owner: 'ann', by: 'ann', at } };
const retired: CalendarEvent = { type: 'CalendarRetired', data: { by: 'ann', at } };
const define: CalendarCommand = { type: 'DefineCalendar', meta: meta(), data: settings };
const revise = (actor = 'ann', any = false): CalendarCommand => ({
  type: 'ReviseCalendar',
  meta: meta(actor),
  data: { any, change: { description: 'x' } },
});
const retire = (actor = 'ann', any = false): CalendarCommand => ({
  type: 'RetireCalendar',
  meta: meta(actor),
  data: { any },
});

describe('a calendar', () => {
  test('is defined once, and anew after it was retired', () => {
    given(calendar, []).when(define).then([defined]);
    given(calendar, [defined]).when(define).thenRefused('conflict', 'CALENDAR_EXISTS');
    given(calendar, [defined, retired]).when(define).then([defined]);
  });

  test('is revised and retired by its owner and by who may touch everybody’s', () => {
    const revised = (by: string): CalendarEvent => ({
      type: 'CalendarRevised',
      data: { ...settings, description: 'x', by, at },
    });
    given(calendar, [defined])
      .when(revise())
      .then([revised('ann')]);
    given(calendar, [defined])
      .when(revise('root', true))
      .then([revised('root')]);
    given(calendar, [defined]).when(revise('eve')).thenRefused('forbidden', 'CALENDAR_OF_ANOTHER');
    given(calendar, [defined]).when(retire('eve')).thenRefused('forbidden', 'CALENDAR_OF_ANOTHER');
    given(calendar, [defined]).when(retire()).then([retired]);
    given(calendar, [defined, retired]).when(retire()).thenRefused('not-found', 'CALENDAR_NOT_FOUND');
    given(calendar, []).when(revise()).thenRefused('not-found', 'CALENDAR_NOT_FOUND');
  });

  test('has one id for a name, however it is written', () => {
    expect(calendarId(' freeze')).toBe(calendarId('Freeze'));
    expect(calendarId('freeze 2')).not.toBe(calendarId('Freeze'));
  });

  test('an event of a newer version is passed over', () => {
    const state = fold(calendar, [defined]);
    expect(calendar.evolve(state, JSON.parse('{"type":"CalendarBlessed","data":{}}'))).toEqual(state);
  });
});

describe('a window', () => {
  const hour = 3_600_000;
  const ends = (windows: Window[], instant: string, enough = 72 * hour) =>
    endOfWindow(windows, new Date(instant), enough)?.toISOString() ?? null;

  test('from an instant up to another', () => {
    expect(ends([freeze], '2026-12-23T23:59:59.999Z')).toBeNull();
    expect(ends([freeze], freeze.from)).toBe(freeze.to);
    expect(ends([freeze], '2026-12-26T23:59:59.999Z')).toBe(freeze.to);
    expect(ends([freeze], freeze.to)).toBeNull();
  });

  test('that recurs, on its zone’s clock', () => {
    const nightly: Window[] = [{ cron: '0 22 * * *', zone: 'Europe/Vienna', for: '8h' }];
    expect(ends(nightly, '2026-06-01T19:59:59Z')).toBeNull();
    expect(ends(nightly, '2026-06-01T20:00:00Z')).toBe('2026-06-02T04:00:00.000Z');
    expect(ends(nightly, '2026-06-02T03:59:59Z')).toBe('2026-06-02T04:00:00.000Z');
    expect(ends(nightly, '2026-06-02T04:00:00Z')).toBeNull();
    expect(ends(nightly, '2026-01-01T21:30:00Z')).toBe('2026-01-02T05:00:00.000Z');
  });

  test('those that touch are one', () => {
    const weekend: Window[] = [{ cron: '0 0 * * SAT,SUN', zone: 'UTC', for: '1d' }];
    expect(ends(weekend, '2026-05-02T12:00:00Z')).toBe('2026-05-04T00:00:00.000Z');
    const both = [...weekend, { from: '2026-05-04T00:00:00.000Z', to: '2026-05-04T06:00:00.000Z' }];
    expect(ends(both, '2026-05-02T12:00:00Z')).toBe('2026-05-04T06:00:00.000Z');
  });

  test('those that touch are one only until the end is far enough off', () => {
    const hourly: Window[] = [{ cron: '0 * * * *', zone: 'UTC', for: '1h' }];
    const instant = '2026-05-02T12:00:00Z';
    expect(ends(hourly, instant, hour)).toBe('2026-05-02T13:00:00.000Z');
    expect(ends(hourly, instant, hour + 1)).toBe('2026-05-02T14:00:00.000Z');
    expect(ends(hourly, '2026-05-02T12:59:59.999Z', hour)).toBe('2026-05-02T14:00:00.000Z');
    expect(ends([freeze], '2026-12-25T00:00:00.000Z', 1)).toBe(freeze.to);
  });

  test('is kept in UTC, and UTC where it says no zone', () => {
    const parsed = window.parse({ from: '2026-12-24T01:00:00+01:00', to: '2026-12-27T00:00:00Z' });
    expect(parsed).toEqual(freeze);
    expect(window.parse({ cron: '0 22 * * *', for: '8h' })).toEqual({ cron: '0 22 * * *', zone: 'UTC', for: '8h' });
  });

  test.each([
    [{}, 'from'],
    [{ from: freeze.from }, 'to'],
    [{ from: freeze.to, to: freeze.from }, 'to'],
    [{ from: freeze.from, to: freeze.from }, 'to'],
    [{ from: 'soon', to: freeze.to }, 'from'],
    [{ ...freeze, for: '8h' }, 'for'],
    [{ cron: '0 22 * * *' }, 'for'],
    [{ cron: '0 22 * * *', for: '1s' }, 'for'],
    [{ cron: '61 * * * *', for: '8h' }, 'cron'],
    [{ cron: '0 22 * * *', zone: 'Mars/Olympus', for: '8h' }, 'cron'],
    [{ cron: '0 22 * * *', for: '8h', to: freeze.to }, 'to'],
  ])('%j is refused', (value, path) => {
    expect(window.safeParse(value).error?.issues[0]?.path).toEqual([path]);
  });
});
