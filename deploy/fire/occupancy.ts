/** Who runs, who waits and who may have how many, told from the events alone and apart from the queue that decides it. */
import { type LedgerEvent } from './fold.js';

const firstDefault = 100;
const ends = ['RunSucceeded', 'RunFailed', 'RunTimedOut', 'RunCancelled', 'RunLost', 'RunSkipped', 'RunForceCompleted'];

interface Run {
  readonly owner: string;
  /** Where it goes; null while it waits. */
  readonly place: string | null;
}

interface Owner {
  limit: number | null;
  going: number;
  /** Runs that are not going, and when each is due. */
  readonly waiting: Map<string, number>;
}

/** Runs that weigh nothing take no place of any kind: they are left out. */
export class Occupancy {
  private readonly owners = new Map<string, Owner>();
  private readonly runs = new Map<string, Run>();
  private readonly busy = new Map<string, number>();
  private common = firstDefault;

  apply({ stream, type, data, recorded }: LedgerEvent): void {
    if (type === 'LimitChanged') this.common = data['most'] as number;
    else if (type === 'UserLimitChanged') {
      this.owner(stream.slice('user-'.length)).limit = data['maxConcurrentRuns'] as number | null;
    } else if (type === 'RunRequested') {
      if ((data['action'] as { kind: string }).kind !== 'noop') this.queue(stream, data['owner'] as string, recorded);
    } else {
      const run = this.runs.get(stream);
      if (!run) return;
      if (type === 'RunStarted') this.start(stream, run, placeOf(data['executor'] as string));
      else if (type === 'RunRetryScheduled') this.queue(stream, run.owner, Date.parse(data['dueAt'] as string));
      else if (ends.includes(type)) this.end(stream, run);
    }
  }

  limitOf(owner: string): number {
    return this.owner(owner).limit ?? this.common;
  }

  goingOf(owner: string): number {
    return this.owner(owner).going;
  }

  goingOn(place: string): number {
    return this.busy.get(place) ?? 0;
  }

  ownerOf(stream: string): string | undefined {
    return this.runs.get(stream)?.owner;
  }

  /** Owners with more runs going than they may have: their limit was lowered meanwhile. */
  overfull(): string[] {
    return [...this.owners].filter(([owner, { going }]) => going > this.limitOf(owner)).map(([owner]) => owner);
  }

  /** Whether a run is due and its owner has room. */
  admits(at: number): boolean {
    for (const [id, { going, waiting }] of this.owners) {
      if (going >= this.limitOf(id)) continue;
      for (const due of waiting.values()) if (due <= at) return true;
    }
    return false;
  }

  private owner(id: string): Owner {
    const owner = this.owners.get(id) ?? { limit: null, going: 0, waiting: new Map<string, number>() };
    this.owners.set(id, owner);
    return owner;
  }

  private queue(stream: string, owner: string, due: number): void {
    this.runs.set(stream, { owner, place: null });
    this.owner(owner).waiting.set(stream, due);
  }

  private start(stream: string, { owner }: Run, place: string): void {
    this.runs.set(stream, { owner, place });
    this.owner(owner).waiting.delete(stream);
    this.owner(owner).going++;
    this.busy.set(place, this.goingOn(place) + 1);
  }

  private end(stream: string, { owner, place }: Run): void {
    this.runs.set(stream, { owner, place: null });
    this.owner(owner).waiting.delete(stream);
    if (place === null) return;
    this.owner(owner).going--;
    this.busy.set(place, this.goingOn(place) - 1);
  }
}

/** An executor that comes back has a new name at the old place. */
export const placeOf = (executor: string): string =>
  executor.replace(/-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, '');
