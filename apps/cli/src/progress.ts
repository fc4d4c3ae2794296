/** How far a batch is: a bar that is drawn anew on a terminal, a line for each change elsewhere. */
import { type Batch } from './shapes.js';

const bars = 24;

export interface Counts {
  pending: number;
  running: number;
  succeeded: number;
  failed: number;
  cancelled: number;
}

export function countsOf(batch: Batch): Counts {
  return {
    pending: batch.pending_count,
    running: batch.running_count,
    succeeded: batch.success_count,
    failed: batch.failed_count,
    cancelled: batch.canceled_count,
  };
}

export const openOf = ({ pending, running }: Counts): number => pending + running;

/** `3 of 10 over: 2 pending, 5 running, 3 succeeded` */
export function sentence(counts: Counts, total: number): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return `${total - openOf(counts)} of ${total} over: ${parts.map(([word, count]) => `${count} ${word}`).join(', ')}`;
}

export class Progress {
  private last = '';

  constructor(
    private readonly total: number,
    private readonly sink: NodeJS.WriteStream,
  ) {}

  show(counts: Counts): void {
    const text = sentence(counts, this.total);
    if (text === this.last) return;
    this.last = text;
    if (!this.sink.isTTY) {
      this.sink.write(`${text}\n`);
      return;
    }
    const full = Math.round((bars * (this.total - openOf(counts))) / this.total);
    const line = `[${'#'.repeat(full)}${'.'.repeat(bars - full)}] ${text}`;
    this.sink.write(`\r\x1b[K${line.slice(0, (this.sink.columns || 80) - 1)}`);
  }

  /** Leaves the line to whatever comes next. */
  end(): void {
    if (this.sink.isTTY) this.sink.write('\r\x1b[K');
  }
}
