import { type Decider, type Meta } from '../decider.js';
import { Refusal } from '../refusal.js';
import { type Action, type ActionChange } from '../action/action.js';
import { type ProcessChange, type ProcessEvent, type ProcessSettings, type Trigger } from './process.events.js';

export interface Process {
  status: 'absent' | 'enabled' | 'disabled' | 'retired';
  number: number;
  owner: string;
  revision: number;
  settings: ProcessSettings | null;
  /** Why it is disabled, where somebody said so. */
  reason: string | null;
  until: string | null;
  /** What is due up to and including this instant was another state's. */
  since: string;
}

export type ProcessCommand =
  /** `disabled`: from the start on. */
  | { type: 'DefineProcess'; meta: Meta; data: ProcessSettings & { number: number; owner: string; disabled?: boolean } }
  /** `enabled`: whether its triggers fire from then on; as before when left out. */
  | {
      type: 'ReviseProcess';
      meta: Meta;
      data: Allowed & { revision: number; change: ProcessChange; enabled?: boolean };
    }
  /** `onlyUntil`: the end of a pause; a pause that has been moved since goes on. */
  | { type: 'EnableProcess'; meta: Meta; data: Allowed & { onlyUntil?: string } }
  | { type: 'DisableProcess'; meta: Meta; data: Allowed & { reason: string | null; until: string | null } }
  | { type: 'RetireProcess'; meta: Meta; data: Allowed };

/** `any`: the asker may touch what is not his own. */
interface Allowed {
  any: boolean;
}

/** A definition that can run. Its triggers fire only while it is enabled; by hand it runs in any state but retired. */
export const process: Decider<Process, ProcessCommand, ProcessEvent> = {
  category: 'process',
  initial: {
    ...{ status: 'absent', number: 0, owner: '', revision: 0, settings: null },
    ...{ reason: null, until: null, since: '' },
  },
  decide(state, command) {
    const { now: at, actor: by } = command.meta;
    if (command.type === 'DefineProcess') {
      if (state.status !== 'absent') return [];
      refusePast(command.data.triggers, [], at);
      const { disabled = false, ...settings } = command.data;
      const defined: ProcessEvent = { type: 'ProcessDefined', data: { ...settings, by, at } };
      return disabled ? [defined, disabledBy(command.meta)] : [defined];
    }
    const mine = command.data.any || state.owner === by;
    if (!state.settings || state.status === 'retired' || !mine) throw noSuchProcess();
    switch (command.type) {
      case 'ReviseProcess': {
        const { enabled } = command.data;
        const events = [revise(state.settings, state.revision, command)];
        if (enabled === true && state.status === 'disabled') events.push({ type: 'ProcessEnabled', data: { by, at } });
        if (enabled === false && state.status === 'enabled') events.push(disabledBy(command.meta));
        return events;
      }
      case 'EnableProcess': {
        const { onlyUntil } = command.data;
        if (state.status === 'enabled' || (onlyUntil !== undefined && onlyUntil !== state.until)) return [];
        const from = onlyUntil ?? (pauseIsOver(state, at) ? state.until : null);
        return [{ type: 'ProcessEnabled', data: { ...(from === null ? {} : { from }), by, at } }];
      }
      case 'DisableProcess': {
        const { reason, until } = command.data;
        if (until !== null && Date.parse(until) <= Date.parse(at)) throw pastEnd();
        if (state.status === 'disabled' && state.reason === reason && state.until === until) return [];
        return [{ type: 'ProcessDisabled', data: { reason, until, by, at } }];
      }
      case 'RetireProcess':
        return [{ type: 'ProcessRetired', data: { by, at } }];
      default:
        return command satisfies never;
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'ProcessDefined': {
        const { number, owner, at: since } = event.data;
        const settings = settingsOf(event.data);
        return { status: 'enabled', number, owner, revision: 1, settings, reason: null, until: null, since };
      }
      case 'ProcessRevised':
        return { ...state, revision: event.data.revision, settings: settingsOf(event.data), since: event.data.at };
      case 'ProcessEnabled':
        return { ...state, status: 'enabled', reason: null, until: null, since: sinceEnabled(state, event.data) };
      case 'ProcessDisabled': {
        const { reason, until, at: since } = event.data;
        return { ...state, status: 'disabled', reason, until, since };
      }
      case 'ProcessRetired':
        return { ...state, status: 'retired', since: event.data.at };
      default:
        return state;
    }
  },
};

/** Whether the end that its pause was given has come, though nobody may have enabled it yet. */
export const pauseIsOver = ({ until }: Process, instant: string): boolean =>
  until !== null && Date.parse(until) <= Date.parse(instant);

/** What is due at the very end of a pause counts, unless it was somebody else's before: a revision's of a while after it. */
function sinceEnabled({ since }: Process, { from, at }: { from?: string; at: string }): string {
  if (from === undefined) return at;
  const end = new Date(Date.parse(from) - 1).toISOString();
  return end > since ? end : since;
}

export const noSuchProcess = () => new Refusal('not-found', 'PROCESS_NOT_FOUND', 'No such process');

type Revise = Extract<ProcessCommand, { type: 'ReviseProcess' }>;

/** A surface's words for the action that was go with it, unless new ones come along. */
function revise(
  { document, ...before }: ProcessSettings,
  current: number,
  { data: { revision, change }, meta: { actor: by, now: at } }: Revise,
): ProcessEvent {
  if (revision !== current) {
    const message = `The current revision is ${current}: read it again`;
    throw new Refusal('conflict', 'REVISION_STALE', message, { revision: current });
  }
  if (change.triggers) refusePast(change.triggers, before.triggers, at);
  const action = change.action ? keepSecrets(change.action, before.action) : before.action;
  const kept = document && !change.action ? { document } : {};
  return { type: 'ProcessRevised', data: { ...before, ...kept, ...change, action, revision: revision + 1, by, at } };
}

const disabledBy = ({ actor: by, now: at }: Meta): ProcessEvent => ({
  type: 'ProcessDisabled',
  data: { reason: null, until: null, by, at },
});

/** What was answered as `{"secret": true}` and comes back so stands for what is stored under that name. */
function keepSecrets(change: ActionChange, before: Action): Action {
  if (change.kind !== 'command' || !change.env) return change as Action;
  const stored = (before.kind === 'command' && before.env) || {};
  const kept = Object.entries(change.env).map(([name, value]) => {
    if (typeof value === 'string' || 'sealed' in value) return [name, value] as const;
    if (!Object.hasOwn(stored, name)) throw noSuchSecret(name);
    return [name, stored[name]!] as const;
  });
  return { ...change, env: Object.fromEntries(kept) };
}

function noSuchSecret(name: string): Refusal {
  const message = 'there is no stored secret of this name to keep';
  const issues = [{ code: 'custom', path: ['action', 'env', name], message }];
  return new Refusal('malformed', 'NO_SUCH_SECRET', `action.env.${name}: ${message}`, { issues });
}

/** One that has been there may be past: it has come, and whoever sends all triggers back means no harm. */
function refusePast(triggers: Trigger[], before: Trigger[], now: string): void {
  const known = before.flatMap((each) => ('at' in each ? [each.at] : []));
  const past = triggers.findIndex((each) => 'at' in each && each.at <= now && !known.includes(each.at));
  if (past < 0) return;
  const message = 'is past: nothing would ever run';
  const issues = [{ code: 'custom', path: ['triggers', past, 'at'], message }];
  throw new Refusal('malformed', 'TRIGGER_PAST', `triggers.${past}.at: ${message}`, { issues });
}

function pastEnd(): Refusal {
  const message = 'is past: there would be no pause';
  const issues = [{ code: 'custom', path: ['until'], message }];
  return new Refusal('malformed', 'UNTIL_PAST', `until: ${message}`, { issues });
}

function settingsOf({ name, description, action, triggers, policies, document }: ProcessSettings): ProcessSettings {
  return { name, description, action, triggers, policies, ...(document ? { document } : {}) };
}
