/** Ends a run's whole process tree: TERM, grace, KILL until two looks in a row find nothing. */
import { kill } from './libc.js';
import { members, type Process, snapshot } from './proc.js';
import { type Run } from './run.js';
import { type Strays } from './strays.js';

interface Victim {
  run: Run;
  termSent: boolean;
  hardAt: number;
  /** Until when SIGKILL may take to show its effect. */
  giveUpAt: number;
  clean: number;
  rounds: number;
  stopped: Set<number>;
}

const verifyMs = 2000;
const cleanLooks = 2;
/** A fork loop is caught by stopping what is found until nothing new appears, and only then killing. */
const stopRounds = 20;
const tickMs = 10;

export class TreeKiller {
  private readonly victims = new Map<Run, Victim>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly strays: Strays,
    private readonly reap: () => void,
    private readonly onOver: (run: Run, survivors: number[]) => void,
  ) {}

  /** A second request skips the grace. */
  kill(run: Run, graceMs: number): void {
    const now = performance.now();
    const known = this.victims.get(run);
    if (known) known.hardAt = now;
    else {
      const hardAt = now + graceMs;
      const victim = {
        run,
        termSent: false,
        hardAt,
        giveUpAt: Infinity,
        clean: 0,
        rounds: 0,
        stopped: new Set<number>(),
      };
      this.victims.set(run, victim);
    }
    this.wake(0);
  }

  has(run: Run): boolean {
    return this.victims.has(run);
  }

  /** Something happened that may have ended a tree. */
  hurry(): void {
    if (this.victims.size > 0) this.wake(0);
  }

  private wake(delay: number): void {
    if (this.timer && delay > 0) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.tick();
    }, delay);
  }

  private tick(): void {
    this.reap();
    this.strays.refresh();
    const now = performance.now();
    const due = [...this.victims.values()].filter((victim) => this.isDue(victim, now));
    // One look at /proc serves all: a hundred cancellations at once cost one scan a round.
    const all = due.length > 0 ? snapshot() : [];
    for (const victim of due) this.step(victim, members(all, victim.run.wanted, this.strays.of(victim.run)), now);
    if (this.victims.size > 0) this.wake(tickMs);
  }

  private isDue(victim: Victim, now: number): boolean {
    if (!victim.termSent || now >= victim.hardAt) return true;
    return victim.run.exit !== undefined && this.strays.of(victim.run).size === 0;
  }

  private step(victim: Victim, found: Process[], now: number): void {
    const { run } = victim;
    if (found.length === 0 && run.exit) {
      victim.clean++;
      if (victim.clean >= cleanLooks) this.over(victim, []);
      return;
    }
    victim.clean = 0;
    if (now < victim.hardAt) {
      if (!victim.termSent) terminate(run, found);
      victim.termSent = true;
      return;
    }
    victim.termSent = true;
    if (victim.giveUpAt === Infinity) victim.giveUpAt = now + verifyMs;
    if (now > victim.giveUpAt) {
      // Everything was already tried on them; they stay stopped or in the kernel.
      destroy(run, found);
      this.over(
        victim,
        found.map((each) => each.pid),
      );
      return;
    }
    this.strike(victim, found);
  }

  private strike(victim: Victim, found: Process[]): void {
    const fresh = found.filter((each) => !victim.stopped.has(each.pid));
    if (fresh.length > 0 && found.length > 1 && victim.rounds < stopRounds) {
      victim.rounds++;
      for (const each of fresh) {
        kill(each.pid, 'SIGSTOP');
        victim.stopped.add(each.pid);
      }
      // New ones may have been born between the look and the stop: look again at once.
      this.step(victim, members(snapshot(), victim.run.wanted, this.strays.of(victim.run)), performance.now());
      return;
    }
    destroy(victim.run, found);
    this.wake(2);
  }

  private over(victim: Victim, survivors: number[]): void {
    this.victims.delete(victim.run);
    this.onOver(victim.run, survivors);
  }
}

/** Until the main process is reaped its pid, and so its group, cannot be anybody else's. */
function group(run: Run): number | undefined {
  return run.pid !== null && !run.exit ? -run.pid : undefined;
}

function terminate(run: Run, found: readonly Process[]): void {
  const whole = group(run);
  if (whole !== undefined) kill(whole, 'SIGTERM');
  for (const each of found) {
    kill(each.pid, 'SIGTERM');
    // A stopped process takes nothing but SIGKILL until it goes on.
    if (each.stopped) kill(each.pid, 'SIGCONT');
  }
}

function destroy(run: Run, found: readonly Process[]): void {
  const whole = group(run);
  if (whole !== undefined) kill(whole, 'SIGKILL');
  for (const each of found) kill(each.pid, 'SIGKILL');
}
