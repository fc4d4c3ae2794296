/** When something is due: pure, and safe to share. */
export interface Schedule {
  /** Plain English, with the zone where there is one. */
  readonly words: string;
  /** The first instant strictly after `after`; null when nothing more is due. */
  next(after: Date): Date | null;
  /** The instants after `after`, up to and including `until`, oldest first and at most `limit`. */
  between(after: Date, until: Date, limit: number): Date[];
  /** What the clocks do at this instant, if it is one at which they change; null otherwise. */
  note(at: Date): string | null;
}

/** One that follows no clock on a wall, so that no change of such clocks is to be told of. */
export function plainSchedule(words: string, next: (after: Date) => Date | null): Schedule {
  const between = (after: Date, until: Date, limit: number) => instantsBetween({ next }, after, until, limit);
  return { words, next, between, note: () => null };
}

export function instantsBetween(schedule: Pick<Schedule, 'next'>, after: Date, until: Date, limit: number): Date[] {
  const instants: Date[] = [];
  for (let at = schedule.next(after); at && at <= until && instants.length < limit; at = schedule.next(at))
    instants.push(at);
  return instants;
}
