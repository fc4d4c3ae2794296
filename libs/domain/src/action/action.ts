import { z } from 'zod';
import { commandAction, commandChange } from './command.js';
import { noopAction } from './noop.js';
import { type Kept, type Sealed } from './secret.js';

/** What a run is to do, as it is written: one schema a kind, told apart by `kind`. Secrets in it are still in clear. */
export const action = z.discriminatedUnion('kind', [commandAction, noopAction]);

/** The same in a revision, which may keep secrets that nobody was ever answered. */
export const actionChange = z.discriminatedUnion('kind', [commandChange, noopAction]);

type WithEnv<A, V> = A extends { kind: 'command' } ? Omit<A, 'env'> & { env?: Record<string, V> } : A;

export type GivenAction = z.infer<typeof action>;
export type GivenChange = z.infer<typeof actionChange>;

/** What a run does: as events hold it and services send it, its secrets sealed. */
export type Action = WithEnv<GivenAction, string | Sealed>;
export type ActionChange = WithEnv<GivenAction, string | Sealed | Kept>;
export type ActionKind = Action['kind'];
export type ActionOf<K extends ActionKind> = Extract<Action, { kind: K }>;

/** The rows that an action's secrets stand in. */
export function secretsOf(of: Action): string[] {
  if (of.kind !== 'command') return [];
  return Object.values(of.env ?? {}).flatMap((value) => (typeof value === 'string' ? [] : [value.sealed]));
}
