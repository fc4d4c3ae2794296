import { setTimeout as delay } from 'node:timers/promises';
import { type PoolClient } from 'pg';
import { isStoreAway, type Ledger } from './ledger.js';
import { Nap } from './nap.js';
import { type Projection, type Target } from './projection.js';
import { type FoldedEvent } from './stored.js';
import { inTransaction } from './transaction.js';

export interface FollowOptions {
  /** Events read at once. */
  batch?: number;
  /** How long to sleep when no bell rings, in milliseconds. */
  poll?: number;
  /** Milliseconds between two reads unless one is wanted at once or a whole batch behind: under load a batch costs little more than an event. */
  rest?: number;
  onAdvanced?: (position: bigint) => void;
  onTrouble?: (error: unknown, what: string) => void;
}

const triesBeforeParking = 5;
/** How far the saved checkpoint may lag while nothing of its categories comes: so much is read again after a crash. */
const mostUnsaved = 10_000n;
const live = (name: string) => name;

/**
 * A checkpointed reader. It wakes on the bell or each second, reads after its checkpoint, applies a batch and moves the
 * checkpoint in the same transaction, guarded by the old value: two instances never apply an event twice.
 * An event that cannot be applied parks its stream; the others go on.
 */
export class Follower {
  private at = 0n;
  /** The position in the database, behind `at` by events that are none of its own. */
  private saved = 0n;
  private epoch = 0;
  private loaded = false;
  private parked = new Set<string>();
  private stopping = false;
  private rung = false;
  private hurried = false;
  private resting = false;
  private notBefore = 0;
  private readonly nap = new Nap();
  private readonly loop: Promise<void>;
  private readonly options: Required<FollowOptions>;

  constructor(
    private readonly ledger: Ledger,
    private readonly projection: Projection,
    { batch = 1_000, poll = 1_000, rest = 0, onAdvanced = () => {}, onTrouble = () => {} }: FollowOptions = {},
  ) {
    this.options = { batch, poll, rest, onAdvanced, onTrouble };
    this.loop = this.run();
  }

  /** Everything up to here is applied. */
  get position(): bigint {
    return this.at;
  }

  /** `hurry`: somebody waits for it. */
  wake(hurry = false): void {
    this.rung = true;
    this.hurried ||= hurry;
    if (hurry || !this.resting) this.nap.wake();
  }

  /** Finishes the batch in hand. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.nap.wake();
    await this.loop;
  }

  private async run(): Promise<void> {
    let pause = 0;
    while (!this.stopping) {
      try {
        await this.rest();
        this.rung = false;
        this.hurried = false;
        if (!this.loaded) await this.load();
        const more = await this.step();
        pause = 0;
        if (more || this.rung) continue;
        await this.sleep(this.options.poll);
        if (!this.rung && this.at > this.saved) await this.applied([], this.at);
      } catch (error) {
        this.loaded = false;
        this.options.onTrouble(error, `${this.projection.name} waits and tries again`);
        pause = Math.min(pause * 2 || 100, 2_000);
        await this.sleep(pause);
      }
    }
  }

  private async rest(): Promise<void> {
    const left = this.notBefore - performance.now();
    if (left <= 0 || this.hurried) return;
    this.resting = true;
    await this.sleep(left);
    this.resting = false;
  }

  private async sleep(ms: number): Promise<void> {
    if (!this.stopping) await this.nap.take(ms);
  }

  private async load(): Promise<void> {
    const { pool } = this.ledger;
    const { name } = this.projection;
    await pool.query('insert into checkpoint (name, position) values ($1, 0) on conflict do nothing', [name]);
    const text = 'select position::text, epoch from checkpoint where name = $1';
    const { rows } = await pool.query<{ position: string; epoch: number }>(text, [name]);
    const parked = await pool.query<{ stream: string }>('select stream from parked where name = $1', [name]);
    this.parked = new Set(parked.rows.map((row) => row.stream));
    this.epoch = rows[0]!.epoch;
    this.saved = BigInt(rows[0]!.position);
    this.advance(this.saved);
    this.loaded = true;
  }

  private advance(position: bigint): void {
    this.at = position;
    this.options.onAdvanced(position);
  }

  /** Applies one batch; true when there is probably more. */
  private async step(): Promise<boolean> {
    const { events, to, full } = await this.ledger.readCategories(
      this.projection.categories,
      this.at,
      this.options.batch,
    );
    if (to > this.at && !full) this.notBefore = performance.now() + this.options.rest;
    if (events.length > 0 || to - this.saved > mostUnsaved) await this.applyAll(events, to);
    else if (to > this.at) this.advance(to);
    return !this.loaded || full;
  }

  /** Halves what cannot be applied, until the poison event stands alone. */
  private async applyAll(events: FoldedEvent[], to: bigint): Promise<void> {
    const mine = events.filter(({ stream }) => !this.parked.has(stream));
    try {
      await this.applied(mine, to);
    } catch (error) {
      if (isStoreAway(error) || mine.length === 0) throw error;
      if (mine.length === 1) return this.tryAgain(mine[0]!, to);
      const half = mine.slice(0, mine.length >> 1);
      await this.applyAll(half, BigInt(half.at(-1)!.position));
      if (this.loaded) await this.applyAll(mine.slice(half.length), to);
    }
  }

  /** Only if nobody has moved or exchanged what this instance believes in; else it looks anew. */
  private async applied(
    events: FoldedEvent[],
    to: bigint,
    extra?: (client: PoolClient) => Promise<unknown>,
  ): Promise<void> {
    const moved = await inTransaction(this.ledger.pool, async (client) => {
      const text = 'update checkpoint set position = $2 where name = $1 and position = $3 and epoch = $4';
      const values = [this.projection.name, String(to), String(this.saved), this.epoch];
      const { rowCount } = await client.query({ name: 'ledger-checkpoint', text, values });
      if (rowCount === 0) return false;
      const target: Target = { client, table: live };
      if (events.length > 0) await this.projection.apply(target, events);
      await extra?.(client);
      return true;
    });
    if (!moved) this.loaded = false;
    else {
      this.saved = to;
      this.advance(to);
    }
  }

  /** What failed by accident succeeds a moment later; what fails five times is poison. */
  private async tryAgain(event: FoldedEvent, to: bigint): Promise<void> {
    for (let attempt = 2; this.loaded; attempt++) {
      await delay(20 * attempt);
      if (this.stopping) return;
      try {
        return await this.applied([event], to);
      } catch (error) {
        if (isStoreAway(error)) throw error;
        if (attempt === triesBeforeParking) return this.park(event, error, to);
      }
    }
  }

  private async park(event: FoldedEvent, error: unknown, to: bigint): Promise<void> {
    this.options.onTrouble(error, `${this.projection.name} parks ${event.stream} at ${event.position}`);
    const text = 'insert into parked (name, stream, position, error) values ($1, $2, $3, $4) on conflict do nothing';
    const values = [this.projection.name, event.stream, event.position, String(error).slice(0, 2_000)];
    await this.applied([], to, (client) => client.query(text, values));
    this.parked.add(event.stream);
  }
}
