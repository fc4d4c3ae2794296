/** How fast all commands together may print: a flood must not take the processor and the disk from who does work. */
import { type Run } from './run.js';

const bytesPerMs = 32 * 1024;
const most = 512 * 1024;
const refillMs = 10;

export class Pace {
  private left = most;
  private at = performance.now();
  private readonly held = new Set<Run>();

  /** Whoever uses up what is left waits for more, and so do those after him. */
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
