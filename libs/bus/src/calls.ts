import { type AnySubject } from './subject.js';
import { type Carried } from './wire.js';
import { nobodyListening, noAnswerInTime } from './unavailable.js';

/** A reply, or why there is none. */
export type Outcome = Carried | Error;

interface Call {
  subject: AnySubject;
  wireName: string;
  deadline: number;
  settle(outcome: Outcome): void;
}

const TICK_MS = 50;
/** After a pause this long the replies may be waiting in the socket: they are read before anything is given up. */
const STALL_MS = 500;

/** Calls that wait for their reply. One coarse clock for all of them: a timer object each would cost more than the call. */
export class Calls {
  private readonly waiting = new Map<number, Call>();
  private lastId = 0;
  private clock: NodeJS.Timeout | undefined;
  private tickedAt = 0;

  open(subject: AnySubject, wireName: string, timeoutMs: number, settle: Call['settle']): number {
    const id = ++this.lastId;
    this.waiting.set(id, { subject, wireName, deadline: performance.now() + timeoutMs, settle });
    this.startClock();
    return id;
  }

  get count(): number {
    return this.waiting.size;
  }

  isOpen(id: number): boolean {
    return this.waiting.has(id);
  }

  /** A late or repeated reply finds nothing here and is dropped. */
  settle(id: number, outcome: Outcome): void {
    const call = this.waiting.get(id);
    if (call === undefined) return;
    this.waiting.delete(id);
    call.settle(outcome);
  }

  settleNobody(id: number): void {
    const call = this.waiting.get(id);
    if (call !== undefined) this.settle(id, nobodyListening(call.subject));
  }

  failAll(reason: () => Error): void {
    for (const id of [...this.waiting.keys()]) this.settle(id, reason());
  }

  failSubject(wireName: string, reason: Error): void {
    for (const [id, call] of [...this.waiting]) if (call.wireName === wireName) this.settle(id, reason);
  }

  private startClock(): void {
    if (this.clock !== undefined) return;
    this.tickedAt = performance.now();
    this.clock = setInterval(() => this.tick(), TICK_MS);
  }

  private tick(): void {
    const now = performance.now();
    const stalled = now - this.tickedAt > STALL_MS;
    this.tickedAt = now;
    if (this.waiting.size === 0) {
      clearInterval(this.clock);
      this.clock = undefined;
    } else if (!stalled) {
      for (const [id, call] of this.waiting) if (call.deadline <= now) this.settle(id, noAnswerInTime(call.subject));
    }
  }
}
