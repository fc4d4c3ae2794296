/** given(past events).when(a command).then(new events), for any decider: the rules' tests read like the rules. */
import { expect } from '@jest/globals';

export interface Decider<S, C, E> {
  readonly category: string;
  readonly initial: S;
  decide(state: S, command: C): readonly E[];
  evolve(state: S, event: E): S;
}

export interface When<C, E> {
  when(command: C): Then<E>;
}

export interface Then<E> {
  then(events: readonly E[]): void;
  thenRefused(kind: string, code: string): void;
}

export function given<S, C, E>(decider: Decider<S, C, E>, events: readonly E[]): When<C, E> {
  const state = events.reduce((folded: S, event) => decider.evolve(folded, event), decider.initial);
  return {
    when: (command) => ({
      then: (expected) => expect(decider.decide(state, command)).toEqual(expected),
      thenRefused: (kind, code) => expect(refusalOf(() => decider.decide(state, command))).toEqual({ kind, code }),
    }),
  };
}

/** An error that is no refusal is a bug, and fails the test as itself. */
function refusalOf(decide: () => unknown): unknown {
  try {
    return { decided: decide() };
  } catch (error) {
    if (error instanceof Error && 'kind' in error && 'code' in error) return { kind: error.kind, code: error.code };
    throw error;
  }
}
