import { newId } from '#domain';
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
    if (!this.pending.has(attempt)) return;
    await this.tell(attempt);
    this.pending.delete(attempt);
  }

  private async tell(attempt: Attempt): Promise<void> {
    const held = this.pending.get(attempt);
    if (!held) return;
    if (held.timer) clearTimeout(held.timer);
    const said = held.said;
    Object.assign(held, { said: {}, timer: null, last: performance.now() });
    if (Object.keys(said).length === 0) return;
    const { run, attempt: number, epoch, correlation } = attempt.claimed;
    const data = { attempt: number, epoch, ...said };
    try {
      await attempt.inTurn(async () => {
        const command = { type: 'ReportProgress' as const, meta: systemMeta(newId(), correlation), data };
        const { version } = await report(this.ledger, run, command, attempt.known);
        attempt.version = version;
      });
    } catch (error) {
      held.said = { ...said, ...held.said };
      this.onTrouble(error);
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
