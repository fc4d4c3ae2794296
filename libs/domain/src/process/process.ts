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
  until: string | null;
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
  initial: { status: 'absent', number: 0, owner: '', revision: 0, settings: null, until: null },
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
      case 'EnableProcess':
        if (command.data.onlyUntil !== undefined && command.data.onlyUntil !== state.until) return [];
        return state.status === 'enabled' ? [] : [{ type: 'ProcessEnabled', data: { by, at } }];
      case 'DisableProcess': {
        if (state.status === 'disabled' && state.until === command.data.until) return [];
        const { reason, until } = command.data;
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
        const { number, owner } = event.data;
        return { status: 'enabled', number, owner, revision: 1, settings: settingsOf(event.data), until: null };
      }
      case 'ProcessRevised':
        return { ...state, revision: event.data.revision, settings: settingsOf(event.data) };
      case 'ProcessEnabled':
        return { ...state, status: 'enabled', until: null };
      case 'ProcessDisabled':
        return { ...state, status: 'disabled', until: event.data.until };
      case 'ProcessRetired':
        return { ...state, status: 'retired' };
      default:
        return state;
    }
  },
};

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

function settingsOf({ name, description, action, triggers, policies, document }: ProcessSettings): ProcessSettings {
  return { name, description, action, triggers, policies, ...(document ? { document } : {}) };
}
