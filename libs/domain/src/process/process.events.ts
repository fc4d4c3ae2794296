import type { Action, ActionChange } from '../action/action.js';
import type { Policies } from '../policies.js';

/** When a process runs by itself. `zone` is an IANA name. */
export interface CronTrigger {
  cron: string;
  zone: string;
}
/** At whole multiples of a duration (`90s`), counted from 1970-01-01T00:00:00Z: the same instants whoever computes them. */
export interface EveryTrigger {
  every: string;
}
/** Once; ISO, UTC. */
export interface AtTrigger {
  at: string;
}
export type Trigger = CronTrigger | EveryTrigger | AtTrigger;

/** A definition as the surface that made it was told it, where a process has no place for its words. */
export interface SurfaceDocument {
  surface: string;
  words: Record<string, unknown>;
}

/** Everything that a revision fixes. */
export interface ProcessSettings {
  name: string;
  description: string | null;
  action: Action;
  triggers: Trigger[];
  policies: Policies;
  document?: SurfaceDocument;
}

/** What a revision says anew. */
export type ProcessChange = Partial<Omit<ProcessSettings, 'action'> & { action: ActionChange }>;

export type ProcessEvent =
  | { type: 'ProcessDefined'; data: ProcessSettings & { number: number; owner: string; by: string; at: string } }
  | { type: 'ProcessRevised'; data: ProcessSettings & { revision: number; by: string; at: string } }
  /** `from`: the end that its pause had been given, where it had come by then; what is due from then on counts. */
  | { type: 'ProcessEnabled'; data: { by: string; at: string; from?: string } }
  | { type: 'ProcessDisabled'; data: { by: string; at: string; reason: string | null; until: string | null } }
  | { type: 'ProcessRetired'; data: { by: string; at: string } };
