import { scheduleOf, type Process } from '#domain';
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

/** The timers of a process after its newest event: counted from that event on, the past is never evaluated again. */
export function timersAfter(id: string, state: Process, version: number): Alongside {
  if (!state.settings) return {};
  const since = new Date(state.since);
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
    const nextAt = scheduleOf(trigger).next(since)?.toISOString() ?? null;
    return { ordinal, trigger, watermark: state.since, nextAt };
  });
  const resume = { ordinal: resumeOrdinal, trigger: null, watermark: state.since, nextAt: state.until };
  const paused = state.status === 'disabled' && state.until ? [resume] : [];
  return { timer_set: [{ process: id, version, definition, timers: [...timers, ...paused] }] };
}
