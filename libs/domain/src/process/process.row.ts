import { type Policies } from '../policies.js';
import { type Action } from '../action/action.js';
import { type ProcessEvent, type SurfaceDocument, type Trigger } from './process.events.js';

/** A process as people ask for it. `process_view` holds one a process; when it runs next is computed on asking. */
export interface ProcessRow {
  id: string;
  number: number;
  name: string;
  description: string | null;
  enabled: boolean;
  disabledReason: string | null;
  disabledUntil: string | null;
  retired: boolean;
  revision: number;
  action: Action;
  triggers: Trigger[];
  policies: Policies;
  document: SurfaceDocument | null;
  owner: string;
  createdAt: string;
  updatedAt: string;
}

/** Folds one event into the row; pure, so a rebuild comes to the same row. */
export function foldProcess(row: ProcessRow | null, id: string, event: ProcessEvent): ProcessRow | null {
  if (event.type === 'ProcessDefined') {
    const { number, owner, at, name, description, action, triggers, policies, document = null } = event.data;
    return {
      ...{ id, number, name, description, action, triggers, policies, document, owner, createdAt: at, updatedAt: at },
      ...{ enabled: true, disabledReason: null, disabledUntil: null, retired: false, revision: 1 },
    };
  }
  if (!row) return null;
  const updatedAt = event.data.at;
  switch (event.type) {
    case 'ProcessRevised': {
      const { revision, name, description, action, triggers, policies, document = null } = event.data;
      return { ...row, revision, name, description, action, triggers, policies, document, updatedAt };
    }
    case 'ProcessEnabled':
      return { ...row, enabled: true, disabledReason: null, disabledUntil: null, updatedAt };
    case 'ProcessDisabled':
      return { ...row, enabled: false, disabledReason: event.data.reason, disabledUntil: event.data.until, updatedAt };
    case 'ProcessRetired':
      return { ...row, enabled: false, retired: true, updatedAt };
    default:
      event satisfies never;
      return row;
  }
}
