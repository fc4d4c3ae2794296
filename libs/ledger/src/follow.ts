import { type PoolClient } from 'pg';
import { isStoreAway, type Ledger } from './ledger.js';
import { categoryOf, type Projection, type Target } from './projection.js';
import { type StoredEvent } from './stored.js';

export interface FollowOptions {
  /** Events read at once. */
  batch?: number;
  /** How long to sleep when no bell rings, in milliseconds. */
  poll?: number;
  onAdvanced?: (position: bigint) => void;
  onTrouble?: (error: unknown, what: string) => void;
}

const triesBeforeParking = 5;
const live = (name: string) => name;

/**
 * A checkpointed reader. It wakes on the bell or each second, reads after its checkpoint, applies a batch and moves the
 * checkpoint in the same transaction, guarded by the old value: two instances never apply an event twice.
 * An event that cannot be applied parks its stream; the others go on.
 */
export class Follower {
  private at = 0n;
  private loaded = false;
  private parked = new Set<string>();
  private stopping = false;
  private rung = false;
  private wakeUp: (() => void) | null = null;
  private readonly loop: Promise<void>;
  private readonly options: Required<FollowOptions>;

  constructor(
    private readonly ledger: Ledger,
    private readonly projection: Projection,
    { batch = 1_000, poll = 1_000, onAdvanced = () => {}, onTrouble = () => {} }: FollowOptions = {},
  ) {
    this.options = { batch, poll, onAdvanced, onTrouble };
    this.loop = this.run();
  }

  /** Everything up to here is applied. */
  get position(): bigint {
    return this.at;
  }

  wake(): void {
    this.rung = true;
    this.wakeUp?.();
  }

  /** Finishes the batch in hand. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wakeUp?.();
    await this.loop;
  }

  private async run(): Promise<void> {
    let pause = 0;
    while (!this.stopping) {
      try {
        if (!this.loaded) await this.load();
        const more = await this.step();
        pause = 0;
        if (!more && !this.rung) await this.sleep(this.options.poll);
        this.rung = false;
      } catch (error) {
        this.loaded = false;
        this.options.onTrouble(error, `${this.projection.name} waits and tries again`);
        pause = Math.min(pause * 2 || 100, 2_000);
        await this.sleep(pause);
      }
    }
  }

  private sleep(ms: number): Promise<void> {
    if (this.stopping) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async load(): Promise<void> {
    const { pool } = this.ledger;
    const { name } = this.projection;
    await pool.query('insert into checkpoint values ($1, 0) on conflict do nothing', [name]);
    const { rows } = await pool.query<{ position: string }>('select position from checkpoint where name = $1', [name]);
    const parked = await pool.query<{ stream: string }>('select stream from parked where name = $1', [name]);
    this.parked = new Set(parked.rows.map((row) => row.stream));
    this.advance(BigInt(rows[0]!.position));
    this.loaded = true;
  }

  private advance(position: bigint): void {
    this.at = position;
    this.options.onAdvanced(position);
  }

  /** Applies one batch; true when there is probably more. */
  private async step(): Promise<boolean> {
    const events = await this.ledger.readFrom(this.at, this.options.batch);
    const last = events.at(-1);
    if (!last) return false;
    const mine = events.filter(({ stream }) => this.wants(stream));
    const from = this.at;
    try {
      await this.applied(mine, from, BigInt(last.position));
    } catch (error) {
      if (isStoreAway(error) || mine.length === 0) throw error;
      await this.oneByOne(events);
    }
    return events.length === this.options.batch;
  }

  private wants(stream: string): boolean {
    return this.projection.categories.includes(categoryOf(stream)) && !this.parked.has(stream);
  }

  private async applied(events: StoredEvent[], from: bigint, to: bigint, extra?: (client: PoolClient) => Promise<unknown>): Promise<void> {
    const moved = await inTransaction(this.ledger, async (client) => {
      if (!(await moveCheckpoint(client, this.projection.name, from, to))) return false;
      const target: Target = { client, table: live };
      if (events.length > 0) await this.projection.apply(target, events);
      await extra?.(client);
      return true;
    });
    if (moved) this.advance(to);
    else this.loaded = false;
  }

  /** The slow path, for a batch that holds a poison event. */
  private async oneByOne(events: StoredEvent[]): Promise<void> {
    for (const event of events) {
      const from = this.at;
      const to = BigInt(event.position);
      const work = this.wants(event.stream) ? [event] : [];
      for (let attempt = 1; this.loaded && this.at < to; attempt++) {
        try {
          await this.applied(work, from, to);
        } catch (error) {
          if (isStoreAway(error)) throw error;
          if (attempt < triesBeforeParking) await this.sleep(20 * attempt);
          else await this.park(event, error, from, to);
        }
      }
      if (!this.loaded) return;
    }
  }

  private async park(event: StoredEvent, error: unknown, from: bigint, to: bigint): Promise<void> {
    this.options.onTrouble(error, `${this.projection.name} parks ${event.stream} at ${event.position}`);
    const text = 'insert into parked (name, stream, position, error) values ($1, $2, $3, $4) on conflict do nothing';
    const values = [this.projection.name, event.stream, event.position, String(error).slice(0, 2_000)];
    await this.applied([], from, to, (client) => client.query(text, values));
    this.parked.add(event.stream);
  }
}

/** Moves a checkpoint from where the caller believes it to be; false when somebody else has moved it. */
export async function moveCheckpoint(client: PoolClient, name: string, from: bigint, to: bigint): Promise<boolean> {
  const text = 'update checkpoint set position = $3 where name = $1 and position = $2';
  const { rowCount } = await client.query({ name: 'checkpoint-move', text, values: [name, String(from), String(to)] });
  return rowCount === 1;
}

/** `false` from the work rolls back. */
export async function inTransaction<T>(ledger: Ledger, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await ledger.pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query(result === false ? 'rollback' : 'commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch((lost: Error) => (broken = lost));
    throw error;
  } finally {
    client.release(broken);
  }
}
