import {
  foldRun,
  ifComputable,
  pauseAt,
  pauseIsOver,
  process,
  scheduledRunId,
  scheduleOf,
  type PauseInterval,
  type Process,
  type ProcessEvent,
  type RunEvent,
  type RunRow,
  type ScheduleEvent,
} from '#domain';
import { type Tick } from '#bus';
import { type Context } from '#service';
import { readPause } from './standing.js';
import { changedText, disabledText, firedText, notedText, pausedText, purgedText, undecidedText } from './tick-text.js';

/** A stretch of a process's life in which its triggers stayed what they are: after its state's `since`, up to and including `to`. */
interface Stretch {
  state: Process;
  /** The newest word on its being disabled, though it may have been revised since. */
  disabled: Disabled | null;
  next: ProcessEvent | null;
  to: string | null;
}

type Disabled = Extract<ProcessEvent, { type: 'ProcessDisabled' }>['data'];

/** A due instant, and the triggers of which it is one. */
interface Due {
  at: string;
  triggers: number[];
  stretch: Stretch;
}

/**
 * What each due instant in (from, to] came to, oldest first: computed from the process's own history, and explained by the run
 * that stands for it, or else by what the clock wrote down when it fired nothing.
 */
export async function ticksOf(
  context: Context,
  { process: id, from, to, limit }: { process: string; from: string; to: string; limit: number },
): Promise<Tick[]> {
  const { ledger } = context;
  const history = (await ledger.read(`process-${id}`)) as unknown as ProcessEvent[];
  const due = dueIn(stretchesOf(history), new Date(from), new Date(to), limit);
  if (due.length === 0) return [];
  const noted = await notedIn(context, id, due[0]!.at, due.at(-1)!.at);
  const { state: pauses } = await readPause(ledger);
  return Promise.all(
    due.map(async (each) => {
      const run = scheduledRunId(id, each.at);
      const events = (await ledger.read(`run-${run}`)) as unknown as RunEvent[];
      return events.length > 0 ? ofRun(each.at, run, events) : withoutRun(each, noted, pauseAt(pauses, each.at));
    }),
  );
}

function stretchesOf(history: ProcessEvent[]): Stretch[] {
  const stretches: Stretch[] = [];
  let { initial: state } = process;
  let disabled: Disabled | null = null;
  history.forEach((event, i) => {
    state = process.evolve(state, event);
    if (event.type === 'ProcessDisabled') disabled = event.data;
    const before = stretches.at(-1);
    if (before) before.to = state.since;
    stretches.push({ state, disabled, next: history[i + 1] ?? null, to: null });
  });
  return stretches;
}

function dueIn(stretches: Stretch[], from: Date, to: Date, limit: number): Due[] {
  const found: Due[] = [];
  for (const stretch of stretches) {
    if (found.length >= limit) break;
    const begin = new Date(Math.max(Date.parse(stretch.state.since), from.getTime()));
    const end = new Date(Math.min(stretch.to === null ? Infinity : Date.parse(stretch.to), to.getTime()));
    if (stretch.state.status === 'retired' || begin >= end) continue;
    found.push(...dueOf(stretch, begin, end, limit - found.length));
  }
  return found;
}

/** A trigger that cannot be computed any more has no instants that could be told; why it has none its process says. */
function dueOf(stretch: Stretch, begin: Date, end: Date, limit: number): Due[] {
  const at = new Map<string, number[]>();
  stretch.state.settings!.triggers.forEach((trigger, ordinal) => {
    const instants = ifComputable(
      () => scheduleOf(trigger).between(begin, end, limit),
      () => [],
    );
    for (const instant of instants) {
      const text = instant.toISOString();
      at.set(text, [...(at.get(text) ?? []), ordinal]);
    }
  });
  return [...at]
    .map(([instant, triggers]) => ({ at: instant, triggers, stretch }))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .slice(0, limit);
}

/** What was written down of instants that did not fire, where it touches these. */
async function notedIn({ pool }: Context, id: string, first: string, last: string): Promise<ScheduleEvent[]> {
  const text = `select type, data::text from event where stream = $1 and data->>'last' >= $2 and data->>'first' <= $3 order by version`;
  const values = [`schedule-${id}`, first, last];
  const { rows } = await pool.query<{ type: string; data: string }>({ name: 'schedule-notes', text, values });
  return rows.map(({ type, data }) => ({ type, data: JSON.parse(data) as object }) as ScheduleEvent);
}

function ofRun(at: string, id: string, events: RunEvent[]): Tick {
  const row = events.reduce<RunRow | null>((seen, event) => foldRun(seen, id, event), null);
  const fired = { at, outcome: 'fired' as const, run: id, reason: null, cause: null };
  if (!row) return { ...fired, text: purgedText };
  const skipped = events.find((event) => event.type === 'RunSkipped');
  if (skipped) {
    const { cause, reason } = skipped.data;
    return { at, outcome: 'skipped', run: id, reason: 'overlap', cause, text: `Skipped: ${reason}.` };
  }
  const waits = (row.status === 'queued' || row.status === 'held') && row.attempt === 0;
  return { ...fired, outcome: waits ? 'held' : 'fired', reason: row.reason, text: firedText(at, row) };
}

/** Before processes were enabled from a given end, what was due until somebody did so was paused. */
const countsFromItsEnd = (next: ProcessEvent | null): boolean =>
  next?.type !== 'ProcessEnabled' || next.data.from !== undefined;

function withoutRun(
  { at, triggers, stretch: { state, disabled, next } }: Due,
  noted: ScheduleEvent[],
  paused: PauseInterval | null,
): Tick {
  const skipped = { at, outcome: 'skipped' as const, run: null };
  const note = noted.find(({ data }) => triggers.includes(data.trigger) && data.first <= at && at <= data.last);
  if (note?.type === 'ScheduleFiresMissed') return { ...skipped, reason: 'missed', cause: null, text: notedText(note) };
  if (note) return { ...skipped, reason: note.data.reason, cause: note.data.cause, text: notedText(note) };
  if (state.status === 'disabled' && !(pauseIsOver(state, at) && countsFromItsEnd(next))) {
    return { ...skipped, reason: 'paused', cause: disabled?.by ?? null, text: disabledText(disabled) };
  }
  if (paused) return { ...skipped, reason: 'paused', cause: paused.reason, text: pausedText(paused) };
  if (next) return { ...skipped, reason: 'changed', cause: next.data.by, text: changedText(next) };
  return { at, outcome: 'held', run: null, reason: 'undecided', cause: null, text: undecidedText };
}
