import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { bells, type Seen } from '#bus';
import { Follower } from '#ledger';
import { Context } from '#service';
import { projections } from './projections/projections.js';
import { traced } from './projections/traced.js';

export type ViewName = 'run_view' | 'process_view' | 'activity_view';

/** Events applied at once: under load a step of few costs as many round trips as one of many, and the view falls behind. */
const batch = 4_000;
/** How long a lost bell may hold a view back that nobody waits for. */
const poll = 2_000;
/** A view may be this many milliseconds behind when nobody waits for it. The log may be more: it reads each run's events a second time, which at 50 ms took a tenth of what commands a second there were. */
const rest: Record<ViewName, number> = { run_view: 50, process_view: 50, activity_view: 500 };
/** Milliseconds of each second after which the bus gives an answer up. */
const patience = 750;

/** Keeps the read models fresh, and lets a question wait until a view has passed a position. */
@Injectable()
export class Views implements OnApplicationBootstrap, OnApplicationShutdown {
  private followers = new Map<string, Follower>();
  private waiters: { view: string; position: bigint; resolve: () => void }[] = [];
  private unlisten = () => {};

  constructor(private readonly context: Context) {}

  onApplicationBootstrap(): void {
    const { ledger, bus, log, metrics } = this.context;
    for (const projection of projections) {
      const { name, categories } = projection;
      const follower = new Follower(ledger, traced(projection, log), {
        ...{ batch, poll, rest: rest[name as ViewName] },
        onAdvanced: (position) => this.advanced(name, position),
        onTrouble: (err, what) => log.warn({ err }, what),
      });
      this.followers.set(name, follower);
      log.debug({ view: name, categories }, 'following');
    }
    this.unlisten = bus.listen(bells.flushed, ({ last }) => {
      for (const [view, follower] of this.followers) {
        metrics.lag.set({ view }, Number(BigInt(last) - follower.position));
        follower.wake();
      }
    });
  }

  async onApplicationShutdown(): Promise<void> {
    this.unlisten();
    await Promise.all([...this.followers.values()].map((follower) => follower.stop()));
  }

  /** Waits until the view has passed `after`, asks, and says where the view stood before the question. */
  async seen<T>(view: ViewName, after: string | undefined, ask: () => Promise<T>): Promise<Seen<T>> {
    await this.passed(view, after);
    const at = String(this.followers.get(view)?.position ?? 0);
    return { value: await ask(), at };
  }

  /** Resolves when the view has passed `after`, or after a while: then the answer is as fresh as the view is. */
  private async passed(view: ViewName, after: string | undefined): Promise<void> {
    if (after === undefined) return;
    const position = BigInt(after);
    const follower = this.followers.get(view);
    if (!follower || follower.position >= position) return;
    await new Promise<void>((resolve) => {
      const waiter = {
        view,
        position,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      // A position that never comes must not be waited for after its asker has gone.
      const timer = setTimeout(() => {
        this.waiters = this.waiters.filter((other) => other !== waiter);
        resolve();
      }, patience * this.context.config.RUNLEDGER_ANSWER_SECONDS);
      this.waiters.push(waiter);
      follower.wake(true);
    });
  }

  private advanced(view: string, position: bigint): void {
    if (this.waiters.length === 0) return;
    const ready = this.waiters.filter((waiter) => waiter.view === view && waiter.position <= position);
    this.waiters = this.waiters.filter((waiter) => !ready.includes(waiter));
    ready.forEach(({ resolve }) => resolve());
  }
}
