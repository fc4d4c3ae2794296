import { type Decider, type Meta } from '../decider.js';
import { Refusal } from '../refusal.js';
import { type ProcessEvent, type ProcessSettings } from './process.events.js';

export interface Process {
  status: 'absent' | 'enabled' | 'disabled' | 'retired';
  number: number;
  owner: string;
  revision: number;
  settings: ProcessSettings | null;
  until: string | null;
}

export type ProcessCommand =
  | { type: 'DefineProcess'; meta: Meta; data: ProcessSettings & { number: number; owner: string } }
  | { type: 'ReviseProcess'; meta: Meta; data: Allowed & { revision: number; change: Partial<ProcessSettings> } }
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
      return [{ type: 'ProcessDefined', data: { ...command.data, by, at } }];
    }
    const mine = command.data.any || state.owner === by;
    if (!state.settings || state.status === 'retired' || !mine) throw noSuchProcess();
    switch (command.type) {
      case 'ReviseProcess': {
        const { revision, change } = command.data;
        if (revision !== state.revision) {
          const details = { revision: state.revision };
          throw new Refusal(
            'conflict',
            'REVISION_STALE',
            `The current revision is ${state.revision}: read it again`,
            details,
          );
        }
        return [{ type: 'ProcessRevised', data: { ...state.settings, ...change, revision: revision + 1, by, at } }];
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

function settingsOf({ name, description, action, triggers, policies }: ProcessSettings): ProcessSettings {
  return { name, description, action, triggers, policies };
}
