import { type StoredEvent } from './stored.js';

const most = 4_000;
/** Larger ones are read from the table: a tail of scripts and payloads would hold too much. */
const largest = 16_384;

/**
 * The newest events of a ledger without a gap, as this process appended them: whoever follows in the same process need not
 * read them back. What others appended, or a hook did, makes it begin anew.
 */
export class Tail {
  private events: StoredEvent[] = [];
  private from = 1n;

  /** `events` stand at `first` and after it; `size` is what they hold in characters. */
  add(first: bigint, events: readonly StoredEvent[], size: number): void {
    const end = this.from + BigInt(this.events.length);
    // An answer that comes late: what lies before is the table's.
    if (first < end) return;
    if (first > end || size > largest * events.length) {
      this.events = [];
      this.from = size > largest * events.length ? first + BigInt(events.length) : first;
      if (this.from > first) return;
    }
    this.events.push(...events);
    if (this.events.length <= 2 * most) return;
    this.from += BigInt(this.events.length - most);
    this.events = this.events.slice(-most);
  }

  /** At most `limit` that follow a position; `[]` when they are not here. */
  after(position: bigint, limit: number): StoredEvent[] {
    const at = position + 1n - this.from;
    if (at < 0n || at >= BigInt(this.events.length)) return [];
    return this.events.slice(Number(at), Number(at) + limit);
  }
}
