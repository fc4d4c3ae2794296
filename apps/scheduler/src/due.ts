import { catchUpWindowOf, type Policies, type parseCron } from '#domain';

export interface Decision {
  /** Instants to fire, oldest first. */
  fires: string[];
  /** Instants that nobody was there for and that the catch-up policy leaves out. */
  missed: { count: number; first: string; last: string } | null;
  watermark: string;
  next: string | null;
}

type Schedule = ReturnType<typeof parseCron>;

/** Up to this late counts as on time. */
const tolerance = 60_000;
const mostCaughtUp = 100;
const mostEnumerated = 10_000;

/**
 * Decides every instant in (watermark, now]: on time ones fire; late ones follow the catch-up policy (`latest`, unless it
 * says otherwise: of what was missed within the window, the newest). Pure: the database's clock comes in.
 */
export function decide(schedule: Schedule, watermark: Date, now: Date, policies: Policies): Decision {
  const isOnTime = (instant: string) => now.getTime() - Date.parse(instant) <= tolerance;
  const isLate = (instant: string) => !isOnTime(instant);
  const instants = schedule.between(watermark, now, mostEnumerated).map((instant) => instant.toISOString());
  const decided = instants.length === mostEnumerated ? instants.at(-1)! : now.toISOString();
  // Where there are too many for one decision, the next ones have a say: what is caught up is the newest of the whole gap.
  const ahead = schedule.between(new Date(decided), now, mostCaughtUp).map((instant) => instant.toISOString());
  const all = [...instants, ...ahead];
  const late = instants.filter(isLate);
  const onTime = instants.filter(isOnTime);
  const caughtUp = catchUp(all.filter(isLate), all.filter(isOnTime), now, policies).filter(
    (instant) => instant <= decided,
  );
  const left = late.filter((instant) => !caughtUp.includes(instant));
  return {
    fires: [...caughtUp, ...onTime],
    missed: left.length > 0 ? { count: left.length, first: left[0]!, last: left.at(-1)! } : null,
    watermark: decided,
    next: schedule.next(new Date(decided))?.toISOString() ?? null,
  };
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
