import { type Decider, type Meta } from '../decider.js';
import { derivedId } from '../ids.js';
import { type Policies } from '../policies.js';
import { type Notice, type NotificationEvent } from './notification.events.js';

export type Notified = 'start' | 'completion' | 'error';

export interface Notification {
  status: 'absent' | 'sent' | 'failed';
}

export interface RecordNotification {
  type: 'RecordNotification';
  meta: Meta;
  data: Omit<Notice, 'at'> & { sent: boolean };
}

/** One word to one channel about one run: there is one stream of it, so that a repeat says nothing new. */
export const notification: Decider<Notification, RecordNotification, NotificationEvent> = {
  category: 'notification',
  initial: { status: 'absent' },
  decide(state, { meta, data: { sent, ...data } }) {
    if (state.status !== 'absent') return [];
    return [{ type: sent ? 'NotificationSent' : 'NotificationFailed', data: { ...data, at: meta.now } }];
  },
  evolve(state, { type }) {
    if (type === 'NotificationSent') return { status: 'sent' };
    return type === 'NotificationFailed' ? { status: 'failed' } : state;
  },
};

export const notificationId = (run: string, what: Notified, channel: string): string => derivedId(run, what, channel);

/** Whether a run's policies ask for word of this; `always` is both of its ends, `never` outweighs all. */
export function asksFor({ notify }: Policies, what: Notified): boolean {
  const on = notify?.on ?? [];
  if (on.includes('never')) return false;
  return on.includes(what) || (what !== 'start' && on.includes('always'));
}

export const urgencies = ['low', 'default', 'high', 'urgent'] as const;
export type Urgency = (typeof urgencies)[number];

/** As the tasks surface counts: 2, 5, 8 and 10; what is between belongs to the nearest. A failure is `high` at least. */
export function urgencyOf(priority: number, what: Notified): Urgency {
  const own = priority >= 10 ? 'urgent' : priority >= 7 ? 'high' : priority >= 4 ? 'default' : 'low';
  return what === 'error' && own !== 'urgent' ? 'high' : own;
}
