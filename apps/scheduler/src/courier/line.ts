import { derivedId } from '#domain';
import { type Head, type Ledger, Nap, readHeads, type StoredEvent } from '#ledger';
import { type Log } from '#service';
import { Displaced, loadPlace, move, record, trimLog, type Delivery, type Place } from './place.js';

/** How an attempt went. `answer` is what the other side said, or why it said nothing. */
export interface Told {
  ok: boolean;
  answer: string;
  /** It will not be taken later either. */
  isFinal?: boolean;
}

/** Who is told of events. */
export interface Receiver {
  readonly id: string;
  /** Of these types only; of each where there are none. */
  readonly types: readonly string[];
  /** Of a page of the ledger, what it is to be told. */
  wanted(heads: readonly Head[]): Promise<readonly Head[]>;
  /** One attempt; null when there is nothing to be told after all. */
  tell(event: StoredEvent, delivery: string, signal: AbortSignal): Promise<Told | null>;
  /** Whether to try it no more. */
  isTooLate(event: StoredEvent, since: Date): boolean;
  /** Before it is stepped over: it was told, or never will be. Throws `Displaced` where that ends the subscription. */
  settle(event: StoredEvent, told: Told, attempts: number): Promise<void>;
}

export interface LineParts {
  ledger: Ledger;
  log: Log;
  /** The last position heard of. */
  newest: () => bigint;
}

const page = 2_000;
/** How far a place may lag while nothing is for it: so much is looked through again after a crash. */
const mostUnsaved = 10_000n;
const rest = 50;
const firstRetry = 2_000;
const longestWait = 600_000;
const mostLogged = 1_000;
/** Between two tries while the database is away. */
const longestPause = 30_000;

/** 2 s, 4 s, 8 s … 10 min. */
export const waitAfter = (attempt: number): number => Math.min(firstRetry * 2 ** (attempt - 1), longestWait);

/** Tells one receiver of its events, in the order of the ledger, one at a time; what fails is tried until it is too late. */
export class Line {
  private at = 0n;
  private place: Place;
  private told = 0;
  private isIdle = false;
  /** Told, and not recorded yet: it is not told again only because the database does not take the word of it. */
  private unrecorded: { delivery: string; attempts: number; told: Told } | null = null;
  private readonly nap = new Nap();
  /** It is no more what it was made for; whoever keeps the lines makes another one, or none. */
  hasEnded = false;
  private readonly ending = new AbortController();
  private readonly loop: Promise<void>;

  constructor(
    private readonly parts: LineParts,
    private readonly receiver: Receiver,
  ) {
    this.loop = this.run();
  }

  /** There may be something new. What waits to be tried again goes on waiting. */
  wake(): void {
    if (this.isIdle) this.nap.wake();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.nap.wake();
    await this.loop;
  }

  private get stopped(): boolean {
    return this.ending.signal.aborted;
  }

  private async run(): Promise<void> {
    const { ledger, log } = this.parts;
    let pause = 0;
    while (!this.stopped) {
      try {
        this.place = await loadPlace(ledger.pool, this.receiver.id);
        this.at = this.place.position;
        while (!this.stopped) {
          const full = await this.step();
          pause = 0;
          await this.sleep(full ? 0 : rest);
          await this.idle();
        }
      } catch (err) {
        this.hasEnded = err instanceof Displaced;
        if (this.stopped || this.hasEnded) return;
        log.warn({ err, subscription: this.receiver.id }, 'a subscription waits');
        pause = Math.min(2 * pause || 1_000, longestPause);
        await this.sleep(pause);
      }
    }
  }

  private async idle(): Promise<void> {
    this.isIdle = true;
    while (!this.stopped && this.parts.newest() <= this.at) await this.sleep(60_000);
    this.isIdle = false;
  }

  private async sleep(ms: number): Promise<void> {
    if (!this.stopped && ms > 0) await this.nap.take(ms);
  }

  /** True when there is probably more. */
  private async step(): Promise<boolean> {
    const { pool } = this.parts.ledger;
    const { heads, to, full } = await readHeads(pool, this.receiver.types, this.at, page);
    for (const { position } of await this.receiver.wanted(heads)) {
      await this.deliver(BigInt(position));
      if (this.stopped) return false;
    }
    this.at = to;
    if (to - this.place.position > mostUnsaved) this.place = await move(pool, this.receiver.id, this.place, to);
    return full;
  }

  private async deliver(position: bigint): Promise<void> {
    const { ledger } = this.parts;
    const { id } = this.receiver;
    const [event] = await ledger.readFrom(position - 1n, 1);
    const name = derivedId('delivery', id, String(this.place.round), String(position));
    while (!this.stopped) {
      const told = await this.tellOnce(event!, name);
      if (this.stopped) return;
      if (told === null) {
        if (this.place.attempts > 0) this.place = await move(ledger.pool, id, this.place, position);
        return;
      }
      const attempts = this.place.attempts + 1;
      const isOver = told.ok || told.isFinal || this.receiver.isTooLate(event!, this.place.since ?? new Date());
      if (isOver) await this.receiver.settle(event!, told, attempts);
      const status = told.ok ? 'delivered' : isOver ? 'failed' : 'pending';
      await this.keep({ id: name, event: event!.id, position, status, attempts, answer: told.answer });
      if (isOver) return;
      await this.sleep(waitAfter(attempts));
    }
  }

  private async tellOnce(event: StoredEvent, delivery: string): Promise<Told | null> {
    const { attempts } = this.place;
    const { unrecorded } = this;
    if (unrecorded?.delivery === delivery && unrecorded.attempts === attempts) return unrecorded.told;
    const told = await this.receiver.tell(event, delivery, this.ending.signal);
    this.unrecorded = told && { delivery, attempts, told };
    return told;
  }

  private async keep(delivery: Delivery): Promise<void> {
    const { pool } = this.parts.ledger;
    this.place = await record(pool, this.receiver.id, this.place, delivery);
    this.told++;
    // By its first too: many lines end before their hundredth.
    if (this.told === 1 || this.told % 100 === 0) await trimLog(pool, this.receiver.id, mostLogged);
  }
}
