import { type LiveOutput } from '#bus';

/** Where somebody stands in a run's output: he was told this piece and all before it. */
export interface Place {
  attempt: number;
  seq: number;
}

export type Piece = Pick<LiveOutput, 'run' | 'attempt' | 'seq' | 'stream' | 'text'>;

export const isAfter = (a: Place, b: Place) => a.attempt > b.attempt || (a.attempt === b.attempt && a.seq > b.seq);
export const keyOf = ({ attempt, seq }: Place) => `${attempt}/${seq}`;

/** Pieces by the place that they follow; past the limit the ones kept longest go. */
export class Recent {
  private readonly pieces = new Map<string, Piece>();
  private size = 0;

  constructor(private readonly most: number) {}

  after(key: string): Piece | undefined {
    return this.pieces.get(key);
  }

  add(key: string, piece: Piece): void {
    if (this.pieces.has(key)) return;
    this.pieces.set(key, piece);
    this.size += weightOf(piece);
    for (const [oldest, { text }] of this.pieces) {
      if (this.size <= this.most) return;
      this.pieces.delete(oldest);
      this.size -= weightOf({ text });
    }
  }

  clear(): void {
    this.pieces.clear();
    this.size = 0;
  }
}

/** A short piece costs its place too. */
const weightOf = ({ text }: Pick<Piece, 'text'>) => text.length + 200;
