import { z } from 'zod';
import { commandAction } from './command.js';
import { noopAction } from './noop.js';

/** What a run does: one schema a kind, told apart by `kind`. */
export const action = z.discriminatedUnion('kind', [commandAction, noopAction]);

export type Action = z.infer<typeof action>;
export type ActionKind = Action['kind'];
export type ActionOf<K extends ActionKind> = Extract<Action, { kind: K }>;
