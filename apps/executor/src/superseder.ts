import { type Pool } from 'pg';
import { derivedId, newId, Refusal } from '#domain';
import { report } from '#admission';
import { systemMeta, type Context } from '#service';

const tick = 500;
/** Ticks between two looks when nobody has said that there may be something. */
const quiet = 4;

/** Overlap `cancel-previous`: cancels the run that a due one of the same process waits for. Once, however many executors look. */
export class Superseder {
  private looking = false;
  private ticks = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly context: Context,
    private readonly onTrouble: (error: unknown) => void,
  ) {
    this.timer = setInterval(() => {
      if (++this.ticks >= quiet) void this.look();
    }, tick);
  }

  /** Runs were requested or started: looked at within half a second, once for all. */
  heard(): void {
    this.ticks = quiet;
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    this.ticks = 0;
    try {
      for (const { run, rival } of await superseded(this.context.pool)) await this.cancel(run, rival);
    } catch (error) {
      this.onTrouble(error);
    } finally {
      this.looking = false;
    }
  }

  private async cancel(run: string, rival: string): Promise<void> {
    const meta = systemMeta(derivedId('superseded', run, rival), newId());
    const data = { reason: `superseded by run ${rival}`, any: true };
    try {
      await report(this.context.ledger, run, { type: 'CancelRun', meta, data });
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof Refusal && error.kind === 'conflict')) throw error;
    }
  }
}

async function superseded(pool: Pool): Promise<{ run: string; rival: string }[]> {
  const text =
    'select distinct on (run_id) run_id as run, rival from queue_superseded(clock_timestamp()) order by run_id, rival';
  return (await pool.query<{ run: string; rival: string }>({ name: 'queue-superseded', text })).rows;
}
