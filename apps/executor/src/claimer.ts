import { type Ledger } from '#ledger';
import { type Claimed } from './attempt.js';

export interface Room {
  /** Free places for runs that weigh, and for those that weigh nothing. */
  slots: number;
  light: number;
  /** How many slots there are in all. */
  all: number;
}

interface ClaimAnswer {
  claimed?: Claimed[];
  /** It looked at as many of that kind as it was asked for: others may be ready. */
  more?: { heavy: boolean; light: boolean };
  /** An owner's limit left less room than there are slots: an end elsewhere may make some. */
  capped?: boolean;
  /** Milliseconds until something falls due that is waiting for its time. */
  wait?: number | null;
  fenced?: boolean;
}

const poll = 1_000;
/** While others are known to wait, a freed slot waits this many milliseconds for company: a claim of four costs little more than one of one. */
const gather = 4;
/** With every slot taken there is only what takes none to look for, and that not at each event. */
const lookEvery = 50;

/**
 * Keeps one claim under way at most: poked by the bell, by a run's end, when something falls due, and each second. A claim
 * ordered in the same turn as a run's birth shares its flush.
 */
export class Claimer {
  private underWay: Promise<void> | null = null;
  private again = false;
  private stopped = false;
  private waits = false;
  private capped = false;
  private later: { timer: NodeJS.Timeout; at: number } | null = null;
  private lookedAt = -Infinity;
  private crowded = false;
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
    this.crowded = light <= 0;
    if (slots <= 0 && light <= 0) return;
    const early = slots > 0 ? 0 : this.lookedAt + lookEvery - performance.now();
    if (early > 0) return this.pokeIn(early);
    this.forgetLater();
    this.lookedAt = performance.now();
    this.underWay = this.claim(Math.max(slots, 0), Math.max(light, 0));
  }

  /** A run has ended; one that weighs nothing makes room only where there was none. */
  freed(weighed: boolean): void {
    if (!weighed && !this.crowded) return;
    const { slots, all } = this.free();
    if (!this.waits || slots * 2 >= all) this.poke();
    else this.pokeIn(gather);
  }

  private pokeIn(ms: number): void {
    const at = performance.now() + ms;
    if (this.later && this.later.at <= at) return;
    this.forgetLater();
    const timer = setTimeout(() => {
      this.later = null;
      this.poke();
    }, ms);
    this.later = { timer, at };
  }

  private forgetLater(): void {
    clearTimeout(this.later?.timer);
    this.later = null;
  }

  /** A run has ended, here or elsewhere: its owner may have room again. */
  ended(): void {
    if (this.capped) this.pokeIn(lookEvery);
  }

  /** A claim is under way: what the database says that we hold may be news to us. */
  get busy(): boolean {
    return this.underWay !== null;
  }

  /** Claims no more; what is being claimed arrives first. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    this.forgetLater();
    await this.underWay;
  }

  private async claim(slots: number, light: number): Promise<void> {
    let more = { heavy: false, light: false };
    try {
      const answer = (await this.ledger.call({ claim: [{ executor: this.executor(), slots, light }] })).claim as
        ClaimAnswer | undefined;
      if (answer?.fenced) this.on.fenced();
      more = answer?.more ?? more;
      this.capped = answer?.capped ?? false;
      const wait = answer?.wait ?? poll;
      if (wait < poll) this.pokeIn(Math.max(wait, 0) + 1);
      if (answer?.claimed?.length) this.on.claimed(answer.claimed);
    } catch (error) {
      this.on.trouble(error);
    }
    this.underWay = null;
    this.waits = more.heavy;
    if (this.again || more.light || (more.heavy && this.free().slots > 0)) {
      this.again = false;
      this.poke();
    }
  }
}
