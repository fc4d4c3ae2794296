import {
  defaultPriority,
  jitterOf,
  run,
  secretsOf,
  type Action,
  type Holder,
  type Meta,
  type Overlap,
  type RunEvent,
  type RunEventOf,
  type SealedSecret,
} from '#domain';
import { handle, type Alongside, type Append, type Handled, type Ledger } from '#ledger';

export type Birth = RunEventOf<'RunRequested'>['data'];

/** What the executor needs to run it, kept in the queue row so that a claim reads no stream. */
export interface Work {
  name: string;
  number: number;
  action: Action;
  policies: Birth['policies'];
  process: { id: string; name: string } | null;
  scheduledFor: string | null;
  owner: string;
}

export function workOf({ name, number, action, policies, process, scheduledFor, owner }: Birth): Work {
  return {
    ...{ name, number, action, policies, scheduledFor, owner },
    process: process && { id: process.id, name: process.name },
  };
}

/** How many of an executor's slots it takes. */
export const weightOf = ({ kind }: Action): number => (kind === 'noop' ? 0 : 1);

/** Nothing happens in it that would have to be supervised: asked for by hand it is over with its birth. */
export const isAtOnce = ({ action, scheduledFor }: Born): boolean => action.kind === 'noop' && scheduledFor === null;

/** The rows by which a run or a process holds what its action refers to; `fresh` ones are not stored yet. */
export function secretRows(holder: string, action: Action, fresh: readonly SealedSecret[] = []): Alongside {
  const rows = secretsOf(action).map((id) => ({ holder, ...(fresh.find((secret) => secret.id === id) ?? { id }) }));
  return rows.length > 0 ? { secret_add: rows } : {};
}

/** `notBefore`: who names an instant that is past does not overtake for it. `place`: its number among those born together. */
export interface Queueing {
  secrets?: readonly SealedSecret[];
  notBefore?: string;
  place?: number;
}

/** The queue row of a run that has just been requested. */
function queued(runId: string, birth: Birth, meta: Meta, { secrets, notBefore = '', place }: Queueing): Alongside {
  const { action, process, scheduledFor, owner, priority, policies, batch } = birth;
  const row = {
    run: runId,
    process: process?.id ?? null,
    batch,
    place,
    owner,
    queue: policies.queue,
    priority,
    readyAt: scheduledFor && [readyAt(runId, birth), notBefore].sort()[1],
    overlap: overlapOf(birth),
    weight: weightOf(action),
    correlation: meta.correlationId,
    work: workOf(birth),
  };
  return { queue_add: [row], ...secretRows(runId, action, secrets) };
}

export type Born = Omit<Birth, 'requestedAt' | 'priority'>;

const priorityOf = ({ policies }: Born) => policies.priority ?? defaultPriority;

/**
 * A run asked for by hand: repeats of the order answer the first one's events. With `atOnce` it is over with its birth and
 * never queues. `secrets`: those of its action that are not stored yet.
 */
export function admit(
  ledger: Ledger,
  runId: string,
  born: Born,
  meta: Meta,
  { atOnce, secrets = [] }: { atOnce?: Holder; secrets?: readonly SealedSecret[] } = {},
): Promise<Handled<RunEvent>> {
  const data = { ...born, priority: priorityOf(born), ...(atOnce ? { atOnce } : {}) };
  return handle(
    ledger,
    run,
    runId,
    { type: 'RequestRun' as const, meta, data },
    {
      creating: true,
      alongside: ([event]) =>
        event?.type === 'RunRequested' && !atOnce
          ? queued(runId, event.data, meta, { secrets, notBefore: meta.now })
          : {},
    },
  );
}

/** A run's birth as one append, for whoever makes many or ties conditions to them: the clock, a batch, a workflow. */
export function birth(
  runId: string,
  born: Born,
  meta: Meta,
  { atOnce, ...queueing }: Queueing & { atOnce?: Holder } = {},
): Append {
  const data = { ...born, priority: priorityOf(born), ...(atOnce ? { atOnce } : {}) };
  const events = run.decide(run.initial, { type: 'RequestRun', meta, data });
  const requested = { ...born, priority: data.priority, requestedAt: meta.now };
  const alongside = atOnce ? {} : queued(runId, requested, meta, queueing);
  return { stream: `run-${runId}`, expected: 0, events, meta, alongside };
}

/** Unless it says otherwise a scheduled fire gives way to a run that has not ended; a run asked for by hand always runs. */
function overlapOf({ scheduledFor, policies }: Birth): Overlap {
  return scheduledFor ? (policies.overlap ?? 'skip') : 'allow';
}

/** Jitter is a function of the run's id, so that every scheduler comes to the same instant. */
function readyAt(runId: string, { scheduledFor, policies }: Birth): string {
  const spread = jitterOf(policies);
  const due = Date.parse(scheduledFor!);
  if (spread === 0) return scheduledFor!;
  return new Date(due + (Number.parseInt(runId.slice(0, 8), 16) % (spread + 1))).toISOString();
}
