import { admit, isLeaseGone, weightOf, workOf, type Born } from '#admission';
import { type Meta, type RunEvent } from '#domain';
import { type Handled, type Ledger, type StoredEvent } from '#ledger';
import { type Claimed } from './attempt.js';
import { type Lease } from './lease.js';

/**
 * Runs that take no slot and wait for nobody are held from their birth on: request and start are one append, and no claim is
 * needed. The queue row says who holds them, as a claim would have, so that a crash is found by the same means.
 */
export class Starter {
  private readonly starting = new Set<string>();

  constructor(
    private readonly ledger: Ledger,
    /** `null` while nothing may be begun. */
    private readonly lease: () => Lease | null,
    private readonly begin: (run: Claimed) => void,
  ) {}

  /** The database may already say that we hold it. */
  isStarting(epoch: string): boolean {
    return this.starting.has(epoch);
  }

  /** `null` when it must queue like any other. */
  async start(id: string, born: Born, meta: Meta): Promise<Handled<RunEvent> | null> {
    if (weightOf(born.action) > 0 || born.scheduledFor || !this.lease()) return null;
    const epoch = String(await this.ledger.number('epoch'));
    const lease = this.lease();
    if (!lease) return null;
    this.starting.add(epoch);
    try {
      const { executor, server } = lease;
      const handled = await admit(this.ledger, id, born, meta, { executor, server, epoch });
      const claimed = handled.repeated ? null : claimedFrom(id, handled.events, meta);
      if (claimed) this.begin(claimed);
      return handled;
    } catch (error) {
      if (isLeaseGone(error)) return null;
      throw error;
    } finally {
      this.starting.delete(epoch);
    }
  }
}

function claimedFrom(run: string, events: StoredEvent<RunEvent>[], { correlationId }: Meta): Claimed | null {
  const [requested, started] = events as RunEvent[];
  if (requested?.type !== 'RunRequested' || started?.type !== 'RunStarted') return null;
  const { attempt, epoch, at } = started.data;
  return { run, attempt, epoch, version: events.length, work: workOf(requested.data), correlation: correlationId, at };
}
