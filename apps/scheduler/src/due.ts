import { catchUpWindowOf, type BlockReason, type Policies, type Schedule } from '#domain';

/** Why nothing fires at an instant, and up to when that holds, or for `tellEvery` at least; `cause` in words. */
export interface Block {
  reason: BlockReason;
  cause: string;
  until: Date | null;
}

/** Instants that follow each other and do not fire, for one reason. */
export interface Skip {
  reason: BlockReason | 'missed';
  cause: string | null;
  count: number;
  first: string;
  last: string;
}

export interface Decision {
  /** Instants to fire, oldest first. */
  fires: string[];
  /** Those that do not: blocked, or nobody was there for them and the catch-up policy leaves them out. */
  skips: Skip[];
  watermark: string;
  next: string | null;
}

interface Judged {
  at: string;
  block: Block | null;
}

/** Up to this late counts as on time. */
const tolerance = 60_000;
const mostCaughtUp = 100;
const mostEnumerated = 10_000;
/** Blocked instants that follow each other closely are told of together, at least this often. */
export const tellEvery = 10_000;

/**
 * Decides every instant in (watermark, now]: blocked ones are skipped, on time ones fire; late ones follow the catch-up policy
 * (`latest`, unless it says otherwise: of what was missed within the window, the newest). Pure: the database's clock comes in.
 */
export function decide(
  schedule: Schedule,
  watermark: Date,
  now: Date,
  policies: Policies,
  blockAt: (instant: Date) => Block | null = () => null,
): Decision {
  const due = schedule.between(watermark, now, mostEnumerated);
  const reached = due.length === mostEnumerated ? due.at(-1)! : now;
  const judged = due.map((instant) => ({ at: instant.toISOString(), block: blockAt(instant) }));
  const later = toldLater(schedule, judged, reached, now);
  const told = later ? judged.slice(0, later.from) : judged;
  const decided = later ? later.watermark : reached.toISOString();
  // Where there are too many for one decision, the next ones have a say: what is caught up is the newest of the whole gap.
  const ahead = schedule.between(reached, now, mostCaughtUp).filter((instant) => !blockAt(instant));
  const open = [...told.filter(({ block }) => !block).map(({ at }) => at), ...ahead.map((at) => at.toISOString())];
  const fires = firesOf(open, now, policies).filter((instant) => instant <= decided);
  return {
    fires,
    skips: skipsOf(told, new Set(fires)),
    watermark: decided,
    next: later ? later.next : (schedule.next(new Date(decided))?.toISOString() ?? null),
  };
}

/** Where the newest instants are blocked and the next one is close, they are left for one later decision. */
function toldLater(schedule: Schedule, judged: Judged[], reached: Date, now: Date) {
  const from = judged.findLastIndex(({ block }) => !block) + 1;
  const first = judged[from];
  if (!first || reached < now) return null;
  const ends = judged.slice(from).flatMap(({ block }) => block!.until?.getTime() ?? []);
  const end = new Date(Math.min(Date.parse(first.at) + tellEvery, ...ends));
  const next = schedule.next(reached);
  if (end <= now || !next || next >= end) return null;
  return { from, watermark: new Date(Date.parse(first.at) - 1).toISOString(), next: end.toISOString() };
}

function firesOf(open: string[], now: Date, policies: Policies): string[] {
  const late = open.filter((instant) => now.getTime() - Date.parse(instant) > tolerance);
  const onTime = open.slice(late.length);
  return [...catchUp(late, onTime, now, policies), ...onTime];
}

/** `latest` adds nothing where an instant on time is fired anyway. */
function catchUp(late: string[], onTime: string[], now: Date, policies: Policies): string[] {
  const window = catchUpWindowOf(policies);
  const within = late.filter((instant) => now.getTime() - Date.parse(instant) <= window);
  switch (policies.catchUp ?? 'latest') {
    case 'skip':
      return [];
    case 'latest':
      return onTime.length > 0 ? [] : within.slice(-1);
    case 'all':
      return within.slice(-mostCaughtUp);
  }
}

function skipsOf(judged: Judged[], fires: ReadonlySet<string>): Skip[] {
  const skips: Skip[] = [];
  for (const { at, block } of judged) {
    if (fires.has(at)) continue;
    const { reason, cause } = block ?? { reason: 'missed' as const, cause: null };
    const last = skips.at(-1);
    if (last?.reason === reason && last.cause === cause) {
      last.count += 1;
      last.last = at;
    } else skips.push({ reason, cause, count: 1, first: at, last: at });
  }
  return skips;
}
