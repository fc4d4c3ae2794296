import { type Pool } from 'pg';

/** How many numbers one visit to the sequence brings; the sequences are made with these increments. */
const blocks = { process: 10, run: 100, epoch: 1_000, user: 10 } as const;
export type Numbered = keyof typeof blocks;

/** Hands out integers from blocks of a sequence: no visit to the database for most of them. */
export class Numbers {
  private readonly blocks = new Map<Numbered, { next: number; end: number }>();
  private readonly fetching = new Map<Numbered, Promise<void>>();

  constructor(private readonly pool: Pool) {}

  async next(of: Numbered): Promise<number> {
    for (;;) {
      const block = this.blocks.get(of);
      if (block && block.next < block.end) return block.next++;
      if (!this.fetching.has(of))
        this.fetching.set(
          of,
          this.fetch(of).finally(() => this.fetching.delete(of)),
        );
      await this.fetching.get(of);
    }
  }

  private async fetch(of: Numbered): Promise<void> {
    const { rows } = await this.pool.query<{ first: string }>(`select nextval('${of}_number') as first`);
    const first = Number(rows[0]!.first);
    this.blocks.set(of, { next: first, end: first + blocks[of] });
  }
}
