import { Controller } from '@nestjs/common';
import { Answers, subjects, type Committed, type CreateBatch, type OnOne, type Request } from '#bus';
import {
  batch,
  batchNotOver,
  batchRunId,
  fold,
  newId,
  Refusal,
  runsOfBatch,
  sizeOf,
  type BatchCommand,
  type BatchCreated,
  type BatchEvent,
  type ForcedStatus,
  type Meta,
  type RunCommand,
} from '#domain';
import { report } from '#admission';
import { handle, withStore, type Append, type Handled } from '#ledger';
import { boundHeapTightly, committed, Context, metaOf } from '#service';
import { erase } from './eraser.js';
import { Executor } from './executor.js';

/** How many runs of a batch are in hand at once. */
const together = 250;
/** From here on a batch is megabytes. */
const large = 1_000;

type OnRun = Exclude<RunCommand, { type: 'RequestRun' }>;

/** Batches: born with all their runs in one commit; what is asked of one is asked of each of its runs. */
@Controller()
export class BatchController {
  constructor(
    private readonly context: Context,
    private readonly executor: Executor,
  ) {}

  @Answers(subjects.createBatch)
  async create({ data, meta: call }: Request<CreateBatch>): Promise<Committed<BatchEvent>> {
    const { ledger, log } = this.context;
    const { id, name, description, runs } = data;
    if (runs.length > large) boundHeapTightly();
    const meta = metaOf(call, id);
    const births: Append[] = [];
    for (const [i, each] of runs.entries()) births.push(await this.birthOf(id, each, i, meta));
    const events = births.reduce((sum, each) => sum + each.events.length, 0);
    const order = {
      type: 'CreateBatch' as const,
      meta,
      data: { name, description, total: runs.length, births: events },
    };
    const handled = await handle(ledger, batch, id, order, { creating: true, together: births });
    log.debug({ batch: id, runs: runs.length, repeated: handled.repeated }, 'batch created');
    return whole(handled);
  }

  private async birthOf(id: string, asked: CreateBatch['runs'][number], index: number, meta: Meta): Promise<Append> {
    const { ledger } = this.context;
    const { secrets = [], ...rest } = asked;
    const run = batchRunId(id, index);
    const { idempotency: _, ...own } = { ...meta, commandId: run };
    const born = { ...rest, number: await ledger.number('run'), owner: meta.actor, batch: id };
    return this.executor.birthOf(run, born, own, { secrets, place: index, notBefore: meta.now });
  }

  @Answers(subjects.cancelBatch)
  async cancel({ data, meta: call }: Request<OnOne & { reason: string | null }>) {
    const { id, any, reason } = data;
    const meta = metaOf(call);
    const handled = await this.order(id, { type: 'CancelBatch', meta, data: { any, reason } });
    return this.each(handled, await this.active(id), meta, (own) => ({
      ...{ type: 'CancelRun', meta: own, data: { any: true, reason } },
    }));
  }

  @Answers(subjects.forceCompleteBatch)
  async forceComplete({ data, meta: call }: Request<OnOne & { status: ForcedStatus }>) {
    const { id, any, status } = data;
    const meta = metaOf(call);
    const handled = await this.order(id, { type: 'ForceCompleteBatch', meta, data: { any, status } });
    return this.each(handled, await this.active(id), meta, (own) => ({
      ...{ type: 'ForceCompleteRun', meta: own, data: { any: true, status } },
    }));
  }

  /** Purges its runs first: what is cut short can be asked for again. */
  @Answers(subjects.deleteBatch)
  async delete({ data, meta: call }: Request<OnOne>) {
    const { id, any } = data;
    const { ledger, pool } = this.context;
    const meta = metaOf(call);
    const state = fold(batch, (await ledger.read(`batch-${id}`)) as unknown as BatchEvent[]);
    const order = { type: 'DeleteBatch' as const, meta, data: { any, runs: sizeOf(state) } };
    batch.decide(state, order);
    if ((await this.active(id)).length > 0) throw batchNotOver();
    const runs = runsOfBatch(id, state);
    const purge = (own: Meta): OnRun => ({ type: 'PurgeRun', meta: own, data: { any: true } });
    const { count } = await this.each(null, runs, meta, purge);
    for (let i = 0; i < runs.length; i += together) await erase(pool, runs.slice(i, i + together));
    const handled = await this.order(id, order);
    return { ...committed(handled), count };
  }

  private order(id: string, command: BatchCommand): Promise<Handled<BatchEvent>> {
    return handle(this.context.ledger, batch, id, command);
  }

  private async active(id: string): Promise<string[]> {
    const query = {
      name: 'batch-active',
      text: 'select run_id from queue where batch = $1 order by rank',
      values: [id],
    };
    const { rows } = await withStore(() => this.context.pool.query<{ run_id: string }>(query));
    return rows.map(({ run_id }) => run_id);
  }

  /** Carries an order to each run; `count`: how many it made a difference to, `position`: the newest of what it came to. */
  private async each(handled: Handled<BatchEvent> | null, runs: string[], meta: Meta, orderFor: (meta: Meta) => OnRun) {
    let [count, newest] = [0, BigInt(handled?.position ?? 0)];
    const one = async (run: string) => {
      const { idempotency: _, ...own } = { ...meta, commandId: newId() };
      const { events, position } = await report(this.context.ledger, run, orderFor(own)).catch(unlessOver);
      if (events.length > 0) count++;
      if (BigInt(position) > newest) newest = BigInt(position);
    };
    const left = runs.values();
    const worker = async () => {
      for (const run of left) await one(run);
    };
    await Promise.all(Array.from({ length: together }, worker));
    return { ...(handled ? committed(handled) : {}), position: String(newest), count };
  }
}

/** Its runs were born in the events that follow its own: who has seen the last of them has seen all of it. */
function whole(handled: Handled<BatchEvent>): Committed<BatchEvent> {
  const [created] = handled.events;
  if (created?.type !== 'BatchCreated') return committed(handled);
  const { births } = created.data as BatchCreated;
  return { ...committed(handled), position: String(BigInt(created.position) + BigInt(births)) };
}

/** One that has ended in the meantime, or was purged before, needs nothing. */
function unlessOver(error: unknown): { events: []; position: string } {
  if (error instanceof Refusal && ['conflict', 'not-found'].includes(error.kind)) return { events: [], position: '0' };
  throw error;
}
