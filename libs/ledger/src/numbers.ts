import { type Pool } from 'pg';

/** How many numbers one step of the sequence is; the sequences are made with these increments. */
const blocks = { process: 10, run: 100, epoch: 1_000, user: 10 } as const;
export type Numbered = keyof typeof blocks;

const mostBlocks = 20;

interface Asker {
  resolve(number: number): void;
  reject(error: unknown): void;
}

/** Numbers of one kind that are drawn and not given out yet, and who waits for the next. */
class Stock {
  private ranges: { next: number; end: number }[] = [];
  private left = 0;
  private askers: Asker[] = [];
  private fetching = false;
  /** How many were asked for during the last visit to the database: so many must be left when the next begins. */
  private pace = 0;
  private asked = 0;

  constructor(
    private readonly block: number,
    private readonly draw: (blocks: number) => Promise<number[]>,
  ) {}

  next(): number | Promise<number> {
    this.asked++;
    const waits = this.left === 0 || this.askers.length > 0;
    const given = waits ? new Promise<number>((resolve, reject) => this.askers.push({ resolve, reject })) : this.take();
    if (this.left <= this.pace && !this.fetching) void this.fetch();
    return given;
  }

  private take(): number {
    const [range] = this.ranges;
    const number = range!.next++;
    if (range!.next === range!.end) this.ranges.shift();
    this.left--;
    return number;
  }

  private async fetch(): Promise<void> {
    this.fetching = true;
    this.asked = this.askers.length;
    try {
      const wanted = Math.ceil(Math.max(this.pace, this.asked) / this.block) + 1;
      const firsts = await this.draw(Math.min(wanted, mostBlocks));
      this.ranges.push(...firsts.map((next) => ({ next, end: next + this.block })));
      this.left += firsts.length * this.block;
      this.pace = Math.min(this.asked, mostBlocks * this.block);
      while (this.left > 0 && this.askers.length > 0) this.askers.shift()!.resolve(this.take());
    } catch (error) {
      for (const { reject } of this.askers.splice(0)) reject(error);
    } finally {
      this.fetching = false;
    }
    if (this.askers.length > 0) void this.fetch();
  }
}

/** Hands out integers from blocks of a sequence, drawn before they run out: hardly anybody waits for a visit to the database. */
export class Numbers {
  private readonly stocks = new Map<Numbered, Stock>();

  constructor(private readonly pool: Pool) {}

  /** At once where there is one. */
  next(of: Numbered): number | Promise<number> {
    let stock = this.stocks.get(of);
    if (!stock) this.stocks.set(of, (stock = new Stock(blocks[of], (many) => this.draw(of, many))));
    return stock.next();
  }

  private async draw(of: Numbered, many: number): Promise<number[]> {
    const text = `select nextval('${of}_number') as first from generate_series(1, $1)`;
    const { rows } = await this.pool.query<{ first: string }>(text, [many]);
    return rows.map(({ first }) => Number(first));
  }
}
