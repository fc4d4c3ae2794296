/** Holds back commands that print more than is kept: what nobody stores must not take the processor from who does work. */
import { type Run } from './run.js';

const bytesPerMs = 128 * 1024;
const most = 2 * 1024 * 1024;
const refillMs = 10;

export class Spill {
  private left = most;
  private at = performance.now();
  private readonly held = new Set<Run>();

  /** All runs share one allowance; whoever uses it up waits for the next. */
  took(run: Run, bytes: number): void {
    this.refill();
    this.left -= bytes;
    if (this.left > 0) return;
    if (this.held.size === 0) setTimeout(() => this.release(), refillMs);
    this.held.add(run);
    run.holdBack(true);
  }

  private release(): void {
    this.refill();
    if (this.left <= 0) {
      setTimeout(() => this.release(), refillMs);
      return;
    }
    const held = [...this.held];
    this.held.clear();
    for (const run of held) run.holdBack(false);
  }

  private refill(): void {
    const now = performance.now();
    this.left = Math.min(most, this.left + (now - this.at) * bytesPerMs);
    this.at = now;
  }
}
