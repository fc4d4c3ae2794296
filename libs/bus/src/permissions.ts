/** Who may say what on nats-server, derived from the table of subjects, so that the two never differ. */
import { type AnyBell, type AnySubject, type ServiceName, serviceNames } from './subject.js';
import * as table from './subjects.js';

export interface NatsUser {
  user: ServiceName;
  /** An empty list permits nothing. */
  publish: string[];
  subscribe: string[];
}

type Names = readonly { name: string }[];

export function natsUsers(
  subjects: readonly AnySubject[] = Object.values(table.subjects),
  bells: readonly AnyBell[] = Object.values(table.bells),
  prefix?: string,
): NatsUser[] {
  const wire = (...names: Names[]) =>
    [...new Set(names.flat().map(({ name }) => (prefix ? `${prefix}.${name}` : name)))].sort();
  return serviceNames.map((user) => {
    const owned = subjects.filter(({ owner }) => owner === user);
    const called = subjects.filter(({ callers }) => callers.includes(user));
    const rung = bells.filter(({ ringers }) => ringers.includes(user));
    const heard = bells.filter(({ listeners }) => listeners.includes(user));
    return {
      user,
      publish: [...wire(called, rung), ...inboxesOf(owned)],
      subscribe: [...wire(owned, heard), inbox(user)],
    };
  });
}

/** Where an owner's answers go: only to services that may ask it. */
function inboxesOf(owned: readonly AnySubject[]): string[] {
  return [...new Set(owned.flatMap(({ callers }) => callers))].sort().map(inbox);
}

function inbox(user: ServiceName): string {
  return `_INBOX.${user}.>`;
}
