import { createHash, type Hash } from 'node:crypto';
import { type Outcome, type OutputSummary, type Run } from '#domain';
import { weightOf, type Work } from '#admission';
import { type StartOrder } from './launcher/protocol.js';

/** What the claim answers for each run that it took. */
export interface Claimed {
  run: string;
  attempt: number;
  epoch: string;
  version: number;
  work: Work;
  correlation: string;
  at: string;
}

/** One attempt in hand of this executor, from the claim until its end is recorded. */
export class Attempt {
  /** The stream's version as we know it; a stale one costs a read, no more. */
  version: number;
  /** Since when the database has it as ours. */
  since = performance.now();
  /** Set once its end is being recorded: nothing may be ordered for it any more. */
  ending = false;
  /** Given to the launcher, or waiting for one. */
  order: { start: StartOrder; sent: boolean } | null = null;
  stored = 0;
  /** Newest chunk taken, and newest committed. */
  lastSeq = 0;
  storedSeq = 0;
  truncated = false;
  killed: 'cancel' | 'fenced' | null = null;
  /** Nobody may see any more what it prints. */
  purged = false;
  private ready: Promise<void> | null = null;
  private hash: Hash | null = null;
  private serial: Promise<unknown> = Promise.resolve();

  constructor(public claimed: Claimed) {
    this.version = claimed.version;
  }

  /** An adopted run's own data, once it has been looked up. */
  become(claimed: Claimed): void {
    this.claimed = claimed;
    this.version = claimed.version;
    this.since = performance.now();
  }

  get key(): string {
    return keyOf(this.claimed);
  }

  get launcherKey() {
    const { run, attempt, epoch } = this.claimed;
    return { run, attempt, epoch };
  }

  get weighs(): boolean {
    return weightOf(this.claimed.work.action) > 0;
  }

  /** What the decider would fold from the stream if nobody else had written to it. */
  get known(): { state: Run; version: number } {
    const { attempt, epoch, work } = this.claimed;
    const { policies, owner } = work;
    return {
      state: { status: 'running', attempt, epoch, policies, owner, cancel: null, purged: false },
      version: this.version,
    };
  }

  /** What the launcher reports waits until `until` is through: an adopted run is looked up first. */
  adoptUntil(until: Promise<void>): void {
    this.ready = until.finally(() => (this.ready = null));
  }

  /** False while an adopted run is still being looked up. */
  get settledAs(): boolean {
    return this.ready === null;
  }

  async isReady(): Promise<void> {
    await this.ready;
  }

  whenReady(work: () => void): void {
    if (this.ready) void this.ready.then(work);
    else work();
  }

  /** Does things to this attempt one after another. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.serial.then(work, work);
    this.serial = next.catch(() => undefined);
    return next;
  }

  /** Counts stored bytes in the order of their seq. */
  keep(seq: number, bytes: Buffer): void {
    this.lastSeq = seq;
    this.stored += bytes.length;
    (this.hash ??= createHash('sha256')).update(bytes);
  }

  summary(printed: number): OutputSummary {
    const sha256 = (this.hash ?? createHash('sha256')).copy().digest('hex');
    return { bytes: printed, stored: this.stored, truncated: this.truncated, sha256 };
  }
}

export const keyOf = ({ run, attempt, epoch }: { run: string; attempt: number; epoch: string | number }): string =>
  `${run}/${attempt}/${epoch}`;

export const ended = (outcome: Partial<Outcome>): Outcome => ({
  ...{ exitCode: null, signal: null, killed: null, error: null, output: null },
  ...outcome,
});
