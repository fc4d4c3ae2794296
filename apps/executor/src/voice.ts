import { newId, Refusal } from '#domain';
import { report } from '#admission';
import { type Ledger } from '#ledger';
import { systemMeta } from '#service';
import { type Attempt } from './attempt.js';

interface Said {
  progress?: number;
  ops?: number;
  message?: string;
}

const between = 500;

/** A run's own `##runledger` lines as events: the newest of each word, at most two events a second for a run. */
export class Voice {
  private readonly pending = new Map<Attempt, { said: Said; timer: NodeJS.Timeout | null; last: number }>();

  constructor(
    private readonly ledger: Ledger,
    private readonly onTrouble: (error: unknown) => void,
  ) {}

  hear(attempt: Attempt, words: Record<string, unknown>): void {
    const said = understood(words);
    if (Object.keys(said).length === 0) return;
    const before = this.pending.get(attempt) ?? { said: {}, timer: null, last: -between };
    before.said = { ...before.said, ...said };
    this.pending.set(attempt, before);
    const wait = before.last + between - performance.now();
    before.timer ??= setTimeout(() => void this.tell(attempt), Math.max(wait, 0));
  }

  /** Tells what is left to tell; then the end may be recorded. */
  async settled(attempt: Attempt): Promise<void> {
    for (let pause = 100; this.pending.has(attempt); pause = Math.min(2 * pause, 2_000)) {
      // What is being told at the moment may come back.
      await attempt.inTurn(() => Promise.resolve());
      if (await this.tell(attempt)) return this.forget(attempt);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  forget(attempt: Attempt): void {
    clearTimeout(this.pending.get(attempt)?.timer ?? undefined);
    this.pending.delete(attempt);
  }

  /** False when it has to be told again later. */
  private async tell(attempt: Attempt): Promise<boolean> {
    const held = this.pending.get(attempt);
    if (!held) return true;
    if (held.timer) clearTimeout(held.timer);
    const said = held.said;
    Object.assign(held, { said: {}, timer: null, last: performance.now() });
    if (Object.keys(said).length === 0) return true;
    const { run, attempt: number, epoch, correlation } = attempt.claimed;
    const data = { attempt: number, epoch, ...said };
    try {
      await attempt.inTurn(async () => {
        const command = { type: 'ReportProgress' as const, meta: systemMeta(newId(), correlation), data };
        const { version } = await report(this.ledger, run, command, attempt.known);
        attempt.version = version;
      });
      return true;
    } catch (error) {
      this.onTrouble(error);
      // What cannot be recorded at all must not keep the run from its end.
      if (!(error instanceof Refusal) || error.kind === 'not-found') return true;
      held.said = { ...said, ...held.said };
      if (this.pending.has(attempt)) held.timer ??= setTimeout(() => void this.tell(attempt), 2 * between);
      return false;
    }
  }
}

/** Takes what it understands and bounds it; anything else a program prints is its own affair. */
function understood({ progress, ops, message }: Record<string, unknown>): Said {
  const said: Said = {};
  if (typeof progress === 'number' && Number.isFinite(progress)) said.progress = Math.min(100, Math.max(0, progress));
  if (typeof ops === 'number' && Number.isSafeInteger(ops) && ops >= 0) said.ops = ops;
  if (typeof message === 'string') said.message = message.replaceAll('\u0000', '').slice(0, 1_000);
  return said;
}
