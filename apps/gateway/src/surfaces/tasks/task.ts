/** A task is a process: what each of the document's words means there, and back. */
import { z } from 'zod';
import { type ProcessListed } from '#bus';
import {
  expressionOf,
  trigger,
  type ActionChange,
  type ActionOf,
  type Policies,
  type ProcessChange,
  type ProcessSettings,
  type SurfaceDocument,
  type Trigger,
} from '#domain';
import { actionOf, isPrompt, lineOf, wrong } from './command-line.js';

export const priorities = { low: 2, default: 5, high: 8, urgent: 10 } as const;
export type Priority = keyof typeof priorities;

export const occasions = ['start', 'completion', 'error', 'always', 'never'] as const;
export type Occasion = (typeof occasions)[number];
export const usualOccasions: Occasion[] = ['completion', 'error'];

/** A task's definition as its document has it. */
export interface TaskWords {
  name: string;
  description: string | null;
  command: string;
  args: string;
  schedule: string | null;
  timezone: string;
  priority: Priority;
  notifyOn: Occasion[];
}

/** The process that is a task. */
export type TaskProcess = ProcessListed & { action: ActionOf<'command'> };

export const isTask = (row: ProcessListed): row is TaskProcess => row.action.kind === 'command' && !row.retired;

/** A prompt may take longer than anybody waits for, and must not take for ever. */
const promptTimeout = '30m';

const stored = z.object({
  command: z.string(),
  args: z.string(),
  schedule: z.string().nullable(),
  timezone: z.string(),
});

/** What the process says, in the document's words: its own where they still hold, else words that mean the same. */
export function wordsOf({ name, description, action, triggers, policies, document }: TaskProcess): TaskWords {
  const own = document?.surface === 'tasks' ? stored.safeParse(document.words).data : undefined;
  const [first] = triggers;
  return {
    name,
    description,
    command: own?.command ?? action.shell ?? lineOf(action.command ?? []),
    args: own?.args ?? '{}',
    schedule: first ? expressionOf(first) : (own?.schedule ?? null),
    timezone: first && 'zone' in first ? first.zone : (own?.timezone ?? 'UTC'),
    priority: priorityWord(policies.priority ?? priorities.default),
    notifyOn: policies.notify?.on ?? ['never'],
  };
}

export function settingsOf(words: TaskWords): ProcessSettings {
  const { name, description, command, args } = words;
  const action = actionOf(command, args);
  const triggers = triggersOf(words);
  return { name, description, action, triggers, policies: policiesOf(words, {}), document: documentOf(words) };
}

/** What of the process changes with these words, and nothing else: a definition made elsewhere stays what it is. */
export function changeOf(before: TaskProcess, change: Partial<TaskWords>): ProcessChange {
  const was = wordsOf(before);
  const now = { ...was, ...change };
  const names = (...fields: (keyof TaskWords)[]) =>
    fields.some((field) => JSON.stringify(now[field]) !== JSON.stringify(was[field]));
  const does = names('command', 'args');
  const when = names('schedule', 'timezone');
  return {
    ...(names('name') ? { name: now.name } : {}),
    ...(names('description') ? { description: now.description } : {}),
    ...(does ? { action: newAction(before, now) } : {}),
    ...(when ? { triggers: triggersOf(now) } : {}),
    ...(does || names('priority', 'notifyOn') ? { policies: policiesOf(now, policiesLeft(before)) } : {}),
    ...(does || when ? { document: documentOf(now) } : {}),
  };
}

/** Where it runs and its variables are not the document's to say: they stay. */
function newAction({ action: { cwd, env } }: TaskProcess, { command, args }: TaskWords): ActionChange {
  return { ...actionOf(command, args), ...(cwd ? { cwd } : {}), ...(env ? { env } : {}) };
}

function documentOf({ command, args, schedule, timezone }: TaskWords): SurfaceDocument {
  return { surface: 'tasks', words: { command, args, schedule, timezone } };
}

/** None for a task that is run by hand; its zone is checked all the same. */
function triggersOf({ schedule, timezone }: Pick<TaskWords, 'schedule' | 'timezone'>): Trigger[] {
  const cron = schedule?.trim() || manual;
  checked('timezone', manual, timezone);
  const read = checked('schedule', cron, timezone);
  return cron.toLowerCase() === manual ? [] : [read];
}

const manual = '@manual';

function checked(field: 'schedule' | 'timezone', cron: string, zone: string): Trigger {
  const { data, error } = trigger.safeParse({ cron, zone });
  if (data) return data;
  throw wrong(field, error.issues[0]?.message ?? 'cannot be read');
}

function policiesOf({ command, priority, notifyOn }: TaskWords, others: Policies): Policies {
  const timeout = isPrompt(command) ? { timeout: promptTimeout } : {};
  return { ...timeout, ...others, priority: priorities[priority], notify: { on: notifyOn } };
}

/** The time that a prompt was given goes with it. */
function policiesLeft(before: TaskProcess): Policies {
  const { timeout, ...others } = before.policies;
  const given = timeout !== undefined && !(timeout === promptTimeout && isPrompt(wordsOf(before).command));
  return given ? { ...others, timeout } : others;
}

/** The document's word, or the nearest, for a number that was given elsewhere. */
export function priorityWord(priority: number): Priority {
  if (priority <= 3) return 'low';
  if (priority <= 6) return 'default';
  return priority <= 9 ? 'high' : 'urgent';
}
