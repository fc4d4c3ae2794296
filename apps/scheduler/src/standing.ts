import {
  CronError,
  calendar,
  calendarId,
  endOfWindow,
  fold,
  ifComputable,
  may,
  pause,
  pauseAt,
  user,
  type CalendarEvent,
  type Pause,
  type PauseEvent,
  type User,
  type UserEvent,
  type Window,
} from '#domain';
import { type Append, type Ledger } from '#ledger';
import { tellEvery, type Block } from './due.js';
import { type Definition } from './timers.js';

export const pauseStream = 'pause-everything';

interface Read<S> {
  state: S;
  /** What a fire requires: that nothing was said meanwhile. */
  at: { stream: string; version: number };
}

interface Span {
  from: Date;
  until: Date;
}

/** What may keep due instants from firing, as it stands now: the pause of everything, blackout calendars, the owners' rights. */
export class Standing {
  private constructor(
    private readonly pause: Read<Pause>,
    private readonly owners: ReadonlyMap<string, Read<User>>,
    private readonly calendars: ReadonlyMap<string, Read<readonly Window[]>>,
  ) {}

  static async read(ledger: Ledger, paused: Read<Pause>, definitions: readonly Definition[]): Promise<Standing> {
    const owners = [...new Set(definitions.map(({ owner }) => owner))];
    const names = [...new Set(definitions.flatMap(({ policies }) => policies.blackouts ?? []))];
    const [users, calendars] = await Promise.all([
      Promise.all(owners.map((owner) => readUser(ledger, owner))),
      Promise.all(names.map((name) => readWindows(ledger, name))),
    ]);
    return new Standing(
      paused,
      new Map(owners.map((owner, i) => [owner, users[i]!])),
      new Map(names.map((name, i) => [name, calendars[i]!])),
    );
  }

  requires({ owner, policies }: Definition): NonNullable<Append['requires']> {
    const calendars = (policies.blackouts ?? []).map((name) => this.calendars.get(name)!.at);
    return [this.pause.at, this.owners.get(owner)!.at, ...calendars];
  }

  blockAt(definition: Definition): (instant: Date) => Block | null {
    const lacking = lackOf(this.owners.get(definition.owner)!.state, definition);
    const seen = new Map<string, Span>();
    return (instant) => {
      const paused = pauseAt(this.pause.state, instant.toISOString());
      if (paused)
        return { reason: 'paused', cause: paused.reason, until: paused.to === null ? null : new Date(paused.to) };
      return (
        this.blackoutAt(definition, instant, seen) ??
        (lacking === null ? null : { reason: 'owner', cause: lacking, until: null })
      );
    };
  }

  /** `seen`: the window of each calendar that was found last; of thousands of due instants most lie in the one of their neighbour. */
  private blackoutAt({ policies }: Definition, instant: Date, seen: Map<string, Span>): Block | null {
    for (const name of policies.blackouts ?? []) {
      const last = seen.get(name);
      const isSeen = last && last.from <= instant && instant < last.until;
      const until = isSeen ? last.until : this.endOf(name, instant);
      if (!until) continue;
      if (!isSeen) seen.set(name, { from: instant, until });
      return { reason: 'blackout', cause: name, until };
    }
    return null;
  }

  private endOf(name: string, instant: Date): Date | null {
    return ifComputable(
      () => endOfWindow(this.calendars.get(name)!.state, instant, tellEvery),
      (problem) => {
        throw new CronError(`the blackout calendar “${name}” has a window that cannot be: ${problem}`);
      },
    );
  }
}

/** What the owner would need to ask for such a run by hand. Whom this ledger does not know has no account that could be closed. */
function lackOf({ status, role }: User, { action }: Definition): string | null {
  if (status === 'absent') return null;
  if (status === 'inactive') return 'its owner is deactivated';
  const needed = action.kind === 'noop' ? (['runs:request'] as const) : (['runs:request', 'commands:run'] as const);
  return needed.every((right) => may(role, right)) ? null : `its owner’s role, ${role}, may not run it`;
}

export async function readPause(ledger: Ledger): Promise<Read<Pause>> {
  const history = await ledger.read(pauseStream);
  const state = fold(pause, history as unknown as PauseEvent[]);
  return { state, at: { stream: pauseStream, version: history.length } };
}

async function readUser(ledger: Ledger, id: string): Promise<Read<User>> {
  const stream = `user-${id}`;
  const history = await ledger.read(stream);
  return { state: fold(user, history as unknown as UserEvent[]), at: { stream, version: history.length } };
}

async function readWindows(ledger: Ledger, name: string): Promise<Read<readonly Window[]>> {
  const stream = `calendar-${calendarId(name)}`;
  const history = await ledger.read(stream);
  const { settings } = fold(calendar, history as unknown as CalendarEvent[]);
  return { state: settings?.windows ?? [], at: { stream, version: history.length } };
}
