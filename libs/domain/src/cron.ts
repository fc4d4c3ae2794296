import { CronError } from './cron/cron-error.js';
import { type CronFields, readFields } from './cron/fields.js';
import { nextFire } from './cron/next-fire.js';
import { wordsOf } from './cron/words.js';
import { changeNote } from './cron/change-note.js';
import { type Zone, zoneOf } from './cron/zone.js';
import { instantsBetween, plainSchedule, type Schedule } from './schedule/schedule.js';

export { CronError };

interface ZonedSchedule extends Schedule {
  readonly expression: string;
  readonly zone: string;
}

const MAX_BYTES = 256;
const MAX_KEPT = 10_000;
const NICKNAMES = new Map([
  ['@yearly', '0 0 1 1 *'],
  ['@annually', '0 0 1 1 *'],
  ['@monthly', '0 0 1 * *'],
  ['@weekly', '0 0 * * 0'],
  ['@daily', '0 0 * * *'],
  ['@midnight', '0 0 * * *'],
  ['@hourly', '0 * * * *'],
]);
/** Never-firing is judged from a fixed day, so that the answer does not depend on when it is asked. */
const EPOCH = Date.UTC(2000, 0, 1) / 1000;
const kept = new Map<string, ZonedSchedule>();

export function parseCron(expression: string, zone = 'UTC'): ZonedSchedule {
  const key = `${expression.length} ${expression}${zone}`;
  const schedule = kept.get(key) ?? read(expression, zone);
  // Taking it out and putting it back makes the first key the one unused for longest.
  kept.delete(key);
  kept.set(key, schedule);
  const oldest = kept.keys().next();
  if (kept.size > MAX_KEPT && !oldest.done) kept.delete(oldest.value);
  return schedule;
}

export function describeCron(expression: string, zone = 'UTC'): string {
  return parseCron(expression, zone).words;
}

function read(raw: string, zoneName: string): ZonedSchedule {
  const expression = raw.trim();
  if (expression === '') throw new CronError('The cron expression is empty. Use five fields such as 0 2 * * *.');
  if (Buffer.byteLength(raw) > MAX_BYTES) {
    throw new CronError(`The cron expression is longer than ${MAX_BYTES} bytes. Split it into several schedules.`);
  }
  const zone = zoneOf(zoneName);
  const name = expression.toLowerCase();
  if (name === '@manual')
    return { expression, zone: zoneName, ...plainSchedule('only when started by hand', () => null) };
  const fields = readFields(name.startsWith('@') ? expand(name) : expression);
  if (nextFire(fields, zone, EPOCH) === null) {
    throw new CronError(
      `The expression ${JSON.stringify(expression)} never fires: no such time exists in ${zoneName}. ` +
        `Check the day, month and weekday fields.`,
    );
  }
  return new CronSchedule(expression, zoneName, fields, zone);
}

function expand(nickname: string): string {
  const expression = NICKNAMES.get(nickname);
  if (expression) return expression;
  const reason =
    nickname === '@reboot'
      ? '@reboot is not supported: a service has no boot'
      : `${JSON.stringify(nickname)} is unknown`;
  throw new CronError(`${reason}. Use five fields, ${[...NICKNAMES.keys()].join(', ')} or @manual.`);
}

class CronSchedule implements ZonedSchedule {
  constructor(
    readonly expression: string,
    readonly zone: string,
    private readonly fields: CronFields,
    private readonly offsets: Zone,
  ) {}

  get words(): string {
    return `${wordsOf(this.fields.texts)} (${this.zone})`;
  }

  next(after: Date): Date | null {
    const from = after.getTime();
    if (Number.isNaN(from)) throw new CronError('The time to look after is not a valid date.');
    const seconds = nextFire(this.fields, this.offsets, Math.floor(from / 1000));
    if (seconds === null) return null;
    // A schedule that stands still would start runs without end, so this is checked and never trusted.
    if (!(seconds * 1000 > from)) throw new CronError(`The schedule ${this.expression} does not move forward.`);
    return new Date(seconds * 1000);
  }

  between(after: Date, until: Date, limit: number): Date[] {
    return instantsBetween(this, after, until, limit);
  }

  note(at: Date): string | null {
    return changeNote(this.fields, this.offsets, Math.floor(at.getTime() / 1000));
  }
}
