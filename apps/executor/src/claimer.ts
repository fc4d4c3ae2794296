import { type Ledger } from '#ledger';
import { type Claimed } from './attempt.js';

export interface Room {
  /** Free places for runs that weigh, and for those that weigh nothing. */
  slots: number;
  light: number;
}

interface ClaimAnswer {
  claimed?: Claimed[];
  /** It looked at as many as it was asked for: others may be ready. */
  more?: boolean;
  fenced?: boolean;
}

const poll = 1_000;

/**
 * Keeps one claim under way at most: poked by the bell, by a run's end, by a retry that falls due, and each second. A claim
 * ordered in the same turn as a run's birth shares its flush.
 */
export class Claimer {
  private underWay: Promise<void> | null = null;
  private again = false;
  private stopped = false;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly ledger: Ledger,
    private readonly executor: () => string,
    private readonly free: () => Room,
    private readonly on: { claimed: (runs: Claimed[]) => void; fenced: () => void; trouble: (error: unknown) => void },
  ) {
    this.timer = setInterval(() => this.poke(), poll);
  }

  poke(): void {
    if (this.stopped) return;
    if (this.underWay) {
      this.again = true;
      return;
    }
    const { slots, light } = this.free();
    if (slots <= 0 && light <= 0) return;
    this.underWay = this.claim(Math.max(slots, 0), Math.max(light, 0));
  }

  /** Looks again when something falls due: a retry, a run held back by jitter. */
  pokeAt(instant: string): void {
    const wait = Date.parse(instant) - Date.now();
    if (wait < poll * 600) setTimeout(() => this.poke(), Math.max(wait, 0) + 5).unref();
  }

  /** A claim is under way: what the database says that we hold may be news to us. */
  get busy(): boolean {
    return this.underWay !== null;
  }

  /** Whether one more that weighs nothing may be begun. */
  get room(): boolean {
    return !this.stopped && this.free().light > 0;
  }

  /** Claims no more; what is being claimed arrives first. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.underWay;
  }

  private async claim(slots: number, light: number): Promise<void> {
    let more = false;
    try {
      const answer = (await this.ledger.call({ claim: [{ executor: this.executor(), slots, light }] })).claim as
        ClaimAnswer | undefined;
      if (answer?.fenced) this.on.fenced();
      more = answer?.more ?? false;
      if (answer?.claimed?.length) this.on.claimed(answer.claimed);
    } catch (error) {
      this.on.trouble(error);
    }
    this.underWay = null;
    if (this.again || more) {
      this.again = false;
      this.poke();
    }
  }
}
