import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type Pool } from 'pg';
import { subjects } from '#bus';
import { newId, Refusal } from '#domain';
import { Context } from '#service';
import { expired, type Limits } from './expired.js';

const atOnce = 8;
const lock = 7_265_004;

export interface Swept {
  runs: number;
  bytes: number;
}

/** Purges what the settings leave no place for, now and then, in one process of however many there are. */
@Injectable()
export class Retention implements OnApplicationBootstrap, OnApplicationShutdown {
  private timer: NodeJS.Timeout | null = null;
  private stopping = false;
  private pass: Promise<void> | null = null;

  constructor(private readonly context: Context) {}

  onApplicationBootstrap(): void {
    const { RUNLEDGER_RETENTION_AGE: age, RUNLEDGER_RETENTION_COUNT: count } = this.context.config;
    if (age === null && count === null) return;
    const begin = () => {
      this.pass ??= this.sweep({ age, count }).finally(() => (this.pass = null));
    };
    this.timer = setInterval(begin, this.context.config.RUNLEDGER_RETENTION_EVERY);
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.timer ?? undefined);
    this.stopping = true;
    await this.pass;
  }

  private async sweep(limits: Limits): Promise<void> {
    const { pool, log } = this.context;
    const began = performance.now();
    const correlationId = newId();
    try {
      const swept = await alone(pool, () => sweep(pool, limits, (run) => this.purge(run, correlationId)));
      if (!swept?.runs) return;
      const ms = Math.round(performance.now() - began);
      log.info({ ...swept, ms, correlationId }, 'retention purged runs');
    } catch (err) {
      log.warn({ err, correlationId }, 'retention goes on later');
    }
  }

  private async purge(run: string, correlationId: string): Promise<number | null> {
    if (this.stopping) return null;
    const order = { id: run, any: true };
    const { events, erased } = await this.context.bus.send(subjects.purgeRun, order, {
      actor: 'system',
      correlationId,
    });
    return events.length > 0 ? erased : null;
  }
}

/** `purge` answers the bytes that it erased, or null when there was nothing to do. */
export async function sweep(
  pool: Pool,
  limits: Limits,
  purge: (run: string) => Promise<number | null>,
): Promise<Swept> {
  const swept = { runs: 0, bytes: 0 };
  for await (const runs of expired(pool, limits)) {
    for (let i = 0; i < runs.length; i += atOnce) {
      const erased = await Promise.all(runs.slice(i, i + atOnce).map(({ id }) => purge(id).catch(goneOrActive)));
      const purged = erased.filter((bytes) => bytes !== null);
      swept.runs += purged.length;
      swept.bytes += purged.reduce((sum, bytes) => sum + bytes, 0);
    }
  }
  return swept;
}

/** The view may be behind: somebody else purged it, or it is tried again. */
function goneOrActive(error: unknown): null {
  if (error instanceof Refusal && (error.kind === 'not-found' || error.kind === 'rejected')) return null;
  throw error;
}

/** Does the work unless somebody else is at it, in any process: then null. */
export async function alone<T>(pool: Pool, work: () => Promise<T>): Promise<T | null> {
  const client = await pool.connect();
  let broken = false;
  try {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [lock]);
    return rows[0]!.mine ? await work() : null;
  } finally {
    // Its end gives the lock back where the order to do so cannot be told any more.
    await client.query('select pg_advisory_unlock($1)', [lock]).catch(() => (broken = true));
    client.release(broken);
  }
}
