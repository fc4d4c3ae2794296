/** What limits and slots promise, judged from the events: no start above a limit, and no slot left free while a run could start. */
import { type LedgerEvent } from './fold.js';
import { Occupancy } from './occupancy.js';
import { type Stall } from './stall-clock.js';

export interface Heights {
  /** Starts of owners who had as many going as they may have. */
  readonly above: string[];
  /** `owner limit` of each limit that was filled to the last place. */
  readonly filled: Set<string>;
  /** Changes that left an owner with more going than he may have. */
  readonly lowered: number;
}

/** By position, as the ledger has it. */
export function judgeLimits(events: readonly LedgerEvent[]): Heights {
  const occupancy = new Occupancy();
  const above: string[] = [];
  const filled = new Set<string>();
  let lowered = 0;
  for (const event of events) {
    const owner = event.type === 'RunStarted' ? occupancy.ownerOf(event.stream) : undefined;
    occupancy.apply(event);
    if (event.type.endsWith('LimitChanged') && occupancy.overfull().length > 0) lowered++;
    if (owner === undefined) continue;
    const [going, limit] = [occupancy.goingOf(owner), occupancy.limitOf(owner)];
    if (going > limit) above.push(`${event.position}: ${going} of ${limit} for ${owner}`);
    if (going === limit) filled.add(`${owner} ${limit}`);
  }
  return { above, filled, lowered };
}

/** An executor that could take runs during this time, in milliseconds of the epoch. */
export interface Presence {
  readonly place: string;
  readonly slots: number;
  readonly from: number;
  readonly until: number;
}

export interface Idle {
  readonly place: string;
  /** Without the time in which the machine stood still. */
  readonly ms: number;
  readonly stalled: number;
  readonly at: number;
}

interface Slots extends Presence {
  /** Since when each free slot is free: the one that is free longest is taken first. */
  readonly free: number[];
}

/** The longest time that a slot stayed free while all the time a run was due whose owner had room. */
export function longestIdle(
  events: readonly LedgerEvent[],
  presences: readonly Presence[],
  stalls: readonly Stall[],
): Idle {
  const occupancy = new Occupancy();
  let executors: Slots[] = [];
  let admits: number | null = null;
  let longest: Idle = { place: '', ms: 0, stalled: 0, at: 0 };
  for (const { at, event } of timeline(events, presences)) {
    for (const { place, free } of executors) {
      if (admits === null || free.length === 0) continue;
      const since = Math.max(free[0]!, admits);
      const stalled = stalledWithin(stalls, since, at);
      if (at - since - stalled > longest.ms) longest = { place, ms: at - since - stalled, stalled, at: since };
    }
    if (event) occupancy.apply(event);
    executors = executors.filter(({ until }) => until > at);
    const come = presences.filter(({ from }) => from === at).map((presence) => ({ ...presence, free: [] }));
    executors.push(...come);
    for (const { place, slots, free } of executors) {
      const room = Math.max(slots - occupancy.goingOn(place), 0);
      while (free.length > room) free.shift();
      while (free.length < room) free.push(at);
    }
    admits = occupancy.admits(at) ? (admits ?? at) : null;
  }
  return longest;
}

interface Moment {
  readonly at: number;
  readonly event?: LedgerEvent;
}

/** Events in their order, and between them the instants at which something falls due or an executor comes or goes. */
function timeline(events: readonly LedgerEvent[], presences: readonly Presence[]): Moment[] {
  const due = events
    .filter(({ type }) => type === 'RunRetryScheduled')
    .map(({ data }) => Date.parse(data['dueAt'] as string));
  const between = [...due, ...presences.flatMap(({ from, until }) => [from, until])].filter(Number.isFinite);
  const told = events.map((event): Moment => ({ at: event.recorded, event }));
  return [...told, ...between.map((at): Moment => ({ at }))].toSorted((a, b) => a.at - b.at);
}

function stalledWithin(stalls: readonly Stall[], from: number, until: number): number {
  return stalls.reduce((sum, stall) => sum + Math.max(Math.min(stall.until, until) - Math.max(stall.from, from), 0), 0);
}
