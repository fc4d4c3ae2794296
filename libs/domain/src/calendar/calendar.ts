import { z } from 'zod';
import { type Decider, type Meta } from '../decider.js';
import { derivedId } from '../ids.js';
import { Refusal } from '../refusal.js';
import { text } from '../text.js';
import { type CalendarEvent, type CalendarSettings } from './calendar.events.js';
import { window } from './window.js';

export interface Calendar {
  settings: CalendarSettings | null;
  owner: string;
}

/** `any`: the asker may touch what is not his own. */
export type CalendarCommand =
  | { type: 'DefineCalendar'; meta: Meta; data: CalendarSettings }
  | { type: 'ReviseCalendar'; meta: Meta; data: { any: boolean; change: Partial<Omit<CalendarSettings, 'name'>> } }
  | { type: 'RetireCalendar'; meta: Meta; data: { any: boolean } };

export const calendarWindows = z.array(window).min(1).max(200);
export const calendarBody = z.strictObject({
  name: text(100, 1),
  description: text(2_000).nullable().default(null),
  windows: calendarWindows,
});

/** A calendar is found by its name, without case: two of one name are one stream. */
export const calendarId = (name: string): string => derivedId('calendar', name.trim().toLowerCase());

/** Windows in which the processes that name it do not fire. One that was retired may be defined anew. */
export const calendar: Decider<Calendar, CalendarCommand, CalendarEvent> = {
  category: 'calendar',
  initial: { settings: null, owner: '' },
  decide({ settings, owner }, command) {
    const { now: at, actor: by } = command.meta;
    if (command.type === 'DefineCalendar') {
      if (settings) throw new Refusal('conflict', 'CALENDAR_EXISTS', `There is a calendar ${settings.name} already`);
      return [{ type: 'CalendarDefined', data: { ...command.data, owner: by, by, at } }];
    }
    if (!settings) throw noSuchCalendar();
    if (!command.data.any && owner !== by)
      throw new Refusal('forbidden', 'CALENDAR_OF_ANOTHER', 'Only its owner and admins may change a calendar');
    if (command.type === 'RetireCalendar') return [{ type: 'CalendarRetired', data: { by, at } }];
    return [{ type: 'CalendarRevised', data: { ...settings, ...command.data.change, by, at } }];
  },
  evolve(state, event) {
    switch (event.type) {
      case 'CalendarDefined':
        return { settings: settingsOf(event.data), owner: event.data.owner };
      case 'CalendarRevised':
        return { ...state, settings: settingsOf(event.data) };
      case 'CalendarRetired':
        return { settings: null, owner: '' };
      default:
        return state;
    }
  },
};

const noSuchCalendar = () => new Refusal('not-found', 'CALENDAR_NOT_FOUND', 'No such calendar');

const settingsOf = ({ name, description, windows }: CalendarSettings): CalendarSettings => ({
  name,
  description,
  windows,
});
