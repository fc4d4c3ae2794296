import { z } from 'zod';
import { CronError, parseCron } from '../cron.js';
import { duration, parseDuration } from '../duration.js';
import { plainSchedule, type Schedule } from '../schedule/schedule.js';
import { type Trigger } from './process.events.js';

const second = 1_000;
const day = 86_400_000;
const kinds = ['cron', 'every', 'at'] as const;

/**
 * `{"cron": "0 2 * * *", "zone": "Europe/Vienna"}` (zone defaults to UTC), `{"every": "90s"}` or `{"at": "2027-01-01T00:00:00Z"}`.
 * A bad or never-firing expression is refused here.
 */
export const trigger = z
  .strictObject({
    cron: z.string().min(1).max(256).optional(),
    zone: z.string().min(1).max(64).optional(),
    every: duration(second, 366 * day).optional(),
    at: z.iso.datetime({ offset: true }).optional(),
  })
  .superRefine((given, context) => {
    const named = kinds.filter((kind) => given[kind] !== undefined);
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (named.length !== 1) refuse(named[1] ?? 'cron', 'say when: one of cron, every or at');
    else if (given.cron === undefined && given.zone !== undefined) refuse('zone', 'only a cron expression has a zone');
    else if (given.cron !== undefined) {
      const problem = cronProblem(given.cron, given.zone);
      if (problem) refuse('cron', problem);
    }
  })
  .transform(({ cron, zone = 'UTC', every, at }): Trigger => {
    if (cron !== undefined) return { cron, zone };
    return every !== undefined ? { every } : { at: new Date(at!).toISOString() };
  });

/** What is wrong with an expression, in words; null when nothing is. */
export function cronProblem(cron: string, zone?: string): string | null {
  const problem = (): string | null => {
    parseCron(cron, zone);
    return null;
  };
  return ifComputable(problem, (message) => message);
}

/** For who has to go on with a trigger that was in order once: its zone may have gone from the zone database since. */
export function ifComputable<T>(compute: () => T, otherwise: (problem: string) => T): T {
  try {
    return compute();
  } catch (error) {
    if (error instanceof CronError) return otherwise(error.message);
    throw error;
  }
}

export function scheduleOf(trigger: Trigger): Schedule {
  if ('cron' in trigger) return parseCron(trigger.cron, trigger.zone);
  return 'every' in trigger ? every(trigger.every) : once(trigger.at);
}

/** As one text, for tables and for events: a cron expression is as it was written. */
export function expressionOf(trigger: Trigger): string {
  if ('cron' in trigger) return trigger.cron;
  return 'every' in trigger ? `@every ${trigger.every}` : `@at ${trigger.at}`;
}

/** When a process runs, in words; null for one that only runs by hand. What cannot be computed says why. */
export function describeTriggers(triggers: readonly Trigger[]): string | null {
  const wordsOf = (each: Trigger) =>
    ifComputable(
      () => scheduleOf(each).words,
      (problem) => problem,
    );
  return triggers.map(wordsOf).join('; ') || null;
}

function every(text: string): Schedule {
  const period = parseDuration(text) ?? 0;
  if (!(period > 0)) throw new CronError(`${JSON.stringify(text)} is no duration to repeat after.`);
  const [, count, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const name = { ms: 'millisecond', s: 'second', m: 'minute', h: 'hour', d: 'day' }[unit as 's'];
  const words = Number(count) === 1 ? `every ${name}` : `every ${Number(count)} ${name}s`;
  return plainSchedule(words, (after) => new Date((Math.floor(after.getTime() / period) + 1) * period));
}

function once(text: string): Schedule {
  const words = `once, at ${text.replace('T', ' ').replace(/(\.000)?Z$/, '')} (UTC)`;
  const at = new Date(text);
  return plainSchedule(words, (after) => (at > after ? at : null));
}
