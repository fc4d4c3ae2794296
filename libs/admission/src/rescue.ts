import { derivedId, newId } from '#domain';
import { type Ledger } from '#ledger';
import { lose, report } from './report.js';

interface Orphan {
  run_id: string;
  attempt: number;
  epoch: string;
  correlation: string;
}

const sightingsApart = 3_000;

/**
 * Judges executors by database time: a lease that has expired and stands unrenewed at two sightings is ended, and its runs
 * are lost (then their retry policy decides). A pause of the database alone condemns nobody: a living executor renews first.
 */
export class Rescuer {
  private readonly seen = new Map<string, { until: string; at: number }>();

  constructor(
    private readonly ledger: Ledger,
    private readonly onLost: (run: string, reason: string) => void,
  ) {}

  /** Answers how many runs were found lost. `onlyAlone`: judge only while no executor is alive. */
  async sweep(onlyAlone = false): Promise<number> {
    if (onlyAlone && (await this.somebodyLives())) return 0;
    await this.endExpiredLeases();
    let lost = 0;
    for (const orphan of await this.takeOrphans()) {
      await this.lose(orphan, 'its executor died or was out of reach');
      lost++;
    }
    return lost;
  }

  private async somebodyLives(): Promise<boolean> {
    const { rows } = await this.ledger.pool.query('select from executor_lease where until > clock_timestamp() limit 1');
    return rows.length > 0;
  }

  private async endExpiredLeases(): Promise<void> {
    const { pool } = this.ledger;
    const text = 'select executor, until::text as until from executor_lease where until < clock_timestamp()';
    const { rows } = await pool.query<{ executor: string; until: string }>(text);
    const now = performance.now();
    const expired = new Map(rows.map((row) => [row.executor, row.until]));
    for (const executor of this.seen.keys()) if (!expired.has(executor)) this.seen.delete(executor);
    for (const [executor, until] of expired) {
      const before = this.seen.get(executor);
      if (before?.until !== until) this.seen.set(executor, { until, at: now });
      else if (now - before.at >= sightingsApart) {
        await pool.query(
          'delete from executor_lease where executor = $1 and until = $2 and until < clock_timestamp()',
          [executor, until],
        );
        this.seen.delete(executor);
      }
    }
  }

  /** Marks runs without a lease as the judge's, so that a returning executor can no longer adopt them. */
  private async takeOrphans(): Promise<Orphan[]> {
    const text = `update queue set executor = 'judge'
      where running and (executor = 'judge' or not exists (select from executor_lease l where l.executor = queue.executor))
      returning run_id, attempt, epoch, correlation`;
    return (await this.ledger.pool.query<Orphan>(text)).rows;
  }

  /** The order is named by run and attempt: several judges come to one verdict. */
  private async lose({ run_id, attempt, epoch, correlation }: Orphan, reason: string): Promise<void> {
    const commandId = derivedId('lost', run_id, epoch);
    const meta = { now: new Date().toISOString(), actor: 'system', correlationId: correlation || newId(), commandId };
    const { events } = await report(this.ledger, run_id, lose(meta, attempt, epoch, reason));
    if (events.length > 0) this.onLost(run_id, reason);
  }
}
