/** Processes that outlived their parent and so became the launcher's own children: which run are they of? */
import { kill } from './libc.js';
import { children, familyOf, look, tagOfProcess } from './proc.js';
import { type Run } from './run.js';

export class Strays {
  /** More than one where nothing tells: any of the runs that were alive when it was first seen. */
  private readonly owners = new Map<number, Set<Run>>();

  constructor(
    private readonly family: bigint,
    /** Main processes not yet reaped. */
    private readonly mains: ReadonlyMap<number, Run>,
    private readonly alive: ReadonlySet<Run>,
  ) {}

  /** Cheap enough for the end of every run: one small file, unless there is somebody. */
  refresh(): void {
    for (const pid of children()) {
      if (this.mains.has(pid) || this.owners.has(pid)) continue;
      const tag = tagOfProcess(pid);
      const owner = [...this.alive].find((run) => run.tag === tag);
      if (owner) this.owners.set(pid, new Set([owner]));
      else if (tag !== undefined && familyOf(tag) === this.family) kill(pid, 'SIGKILL');
      else this.suspect(pid);
    }
  }

  private suspect(pid: number): void {
    const session = look(pid)?.session;
    const leader = [...this.alive].find((run) => run.pid === session);
    const owners = new Set(leader ? [leader] : this.alive);
    if (owners.size === 0) kill(pid, 'SIGKILL');
    else this.owners.set(pid, owners);
  }

  of(run: Run): ReadonlySet<number> {
    const found = new Set<number>();
    for (const [pid, owners] of this.owners) if (owners.size === 1 && owners.has(run)) found.add(pid);
    return found;
  }

  reaped(pid: number): void {
    this.owners.delete(pid);
  }

  /** When nobody is left who can have started it, it is killed. */
  over(run: Run): void {
    for (const [pid, owners] of this.owners) {
      if (!owners.delete(run) || owners.size > 0) continue;
      this.owners.delete(pid);
      kill(pid, 'SIGKILL');
    }
  }
}
