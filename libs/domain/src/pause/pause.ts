import { type Decider, type Meta } from '../decider.js';
import { Refusal } from '../refusal.js';
import { type PauseEvent } from './pause.events.js';

/** From its begin up to, but not including, its end; null: until somebody ends it. */
export interface PauseInterval {
  from: string;
  to: string | null;
  reason: string;
  by: string;
}

export interface Pause {
  /** Oldest first; they do not overlap. */
  intervals: PauseInterval[];
}

export type PauseCommand =
  | { type: 'BeginPause'; meta: Meta; data: { reason: string; until: string | null } }
  | { type: 'EndPause'; meta: Meta; data: Record<string, never> };

/** The switch that keeps every trigger of every process from firing. There is one stream of it, `pause-everything`. */
export const pause: Decider<Pause, PauseCommand, PauseEvent> = {
  category: 'pause',
  initial: { intervals: [] },
  decide(state, command) {
    const { now: at, actor: by } = command.meta;
    if (command.type === 'EndPause')
      return isOpen(state.intervals.at(-1), at) ? [{ type: 'PauseEnded', data: { by, at } }] : [];
    const current = pauseAt(state, at);
    const { reason, until } = command.data;
    if (until !== null && until <= at) throw pastEnd();
    if (current?.reason === reason && current.to === until) return [];
    return [{ type: 'PauseBegun', data: { reason, until, by, at } }];
  },
  evolve({ intervals }, event) {
    switch (event.type) {
      case 'PauseBegun': {
        const { at, until, reason, by } = event.data;
        return { intervals: [...endedAt(intervals, at), { from: at, to: until, reason, by }] };
      }
      case 'PauseEnded':
        return { intervals: endedAt(intervals, event.data.at) };
      default:
        return { intervals };
    }
  },
};

/** The pause that holds at this instant (ISO, UTC). */
export function pauseAt({ intervals }: Pause, instant: string): PauseInterval | null {
  return intervals.find(({ from, to }) => from <= instant && (to === null || instant < to)) ?? null;
}

function endedAt(intervals: PauseInterval[], at: string): PauseInterval[] {
  const last = intervals.at(-1);
  return isOpen(last, at) ? [...intervals.slice(0, -1), { ...last, to: at }] : intervals;
}

/** Whether there is something of it left to end, even if it has not begun: it may be a clock's that was ahead. */
function isOpen(interval: PauseInterval | undefined, at: string): interval is PauseInterval {
  return interval !== undefined && (interval.to === null || interval.to > at);
}

function pastEnd(): Refusal {
  const message = 'is past: there would be no pause';
  const issues = [{ code: 'custom', path: ['until'], message }];
  return new Refusal('malformed', 'UNTIL_PAST', `until: ${message}`, { issues });
}
