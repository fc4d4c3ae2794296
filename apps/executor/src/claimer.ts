import { type Ledger } from '#ledger';
import { type Claimed } from './attempt.js';

export interface Room {
  /** Free places for runs that weigh, and for those that weigh nothing. */
  slots: number;
  light: number;
}

interface ClaimAnswer {
  claimed?: Claimed[];
  fenced?: boolean;
}

const poll = 1_000;

/**
 * Keeps one claim under way at most: poked by the bell, by a run's end, by a retry that falls due, and each second. A claim
 * ordered in the same turn as a run's birth shares its flush.
 */
export class Claimer {
  private underWay = false;
  private again = false;
  private stopped = false;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly ledger: Ledger,
    private readonly executor: () => string,
    private readonly room: () => Room,
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
    const { slots, light } = this.room();
    if (slots <= 0 && light <= 0) return;
    this.underWay = true;
    void this.claim(Math.max(slots, 0), Math.max(light, 0));
  }

  /** Looks again when something falls due: a retry, a run held back by jitter. */
  pokeAt(instant: string): void {
    const wait = Date.parse(instant) - Date.now();
    if (wait < poll * 600) setTimeout(() => this.poke(), Math.max(wait, 0) + 5).unref();
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
  }

  private async claim(slots: number, light: number): Promise<void> {
    let full = false;
    try {
      const answer = (await this.ledger.call({ claim: [{ executor: this.executor(), slots, light }] })).claim as
        ClaimAnswer | undefined;
      if (answer?.fenced) this.on.fenced();
      const claimed = answer?.claimed ?? [];
      full = claimed.length > 0 && claimed.length >= Math.min(slots, light);
      if (claimed.length > 0) this.on.claimed(claimed);
    } catch (error) {
      this.on.trouble(error);
    }
    this.underWay = false;
    if (this.again || full) {
      this.again = false;
      this.poke();
    }
  }
}
