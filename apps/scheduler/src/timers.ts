import { scheduleOf, type Process, type ProcessEvent } from '#domain';
import { type Alongside } from '#ledger';

/** What a fire needs of its process, kept beside the timer so that the clock reads no stream. */
export interface Definition {
  number: number;
  revision: number;
  owner: string;
  name: string;
  action: NonNullable<Process['settings']>['action'];
  policies: NonNullable<Process['settings']>['policies'];
}

/** The row that ends a pause; triggers count from 0. */
export const resumeOrdinal = -1;

/** The timers of a process after its newest event: counted from that event's instant, the past is never evaluated again. */
export function timersAfter(id: string, state: Process, version: number, events: ProcessEvent[]): Alongside {
  if (!state.settings) return {};
  const now = new Date(events.at(-1)!.data.at);
  const { name, action, policies, triggers } = state.settings;
  const definition: Definition = {
    number: state.number,
    revision: state.revision,
    owner: state.owner,
    name,
    action,
    policies,
  };
  const fires = state.status === 'enabled' ? triggers : [];
  const timers = fires.map((trigger, ordinal) => {
    const nextAt = scheduleOf(trigger).next(now)?.toISOString() ?? null;
    return { ordinal, trigger, watermark: now.toISOString(), nextAt };
  });
  const resume = { ordinal: resumeOrdinal, trigger: null, watermark: now.toISOString(), nextAt: state.until };
  const paused = state.status === 'disabled' && state.until ? [resume] : [];
  return { timer_set: [{ process: id, version, definition, timers: [...timers, ...paused] }] };
}
