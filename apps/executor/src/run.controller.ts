import { Controller } from '@nestjs/common';
import { Answers, subjects, type Committed, type OnOne, type Request, type RequestRun } from '#bus';
import {
  batch,
  derivedId,
  type BatchEvent,
  type ForceComplete,
  type Meta,
  type RunEvent,
  type SealedSecret,
} from '#domain';
import { report, type Born } from '#admission';
import { firstAnswer, handle } from '#ledger';
import { committed, Context, metaOf } from '#service';
import { erase } from './eraser.js';
import { Executor } from './executor.js';
import { readOutput, type OutputQuestion } from './output-store.js';

@Controller()
export class RunController {
  constructor(
    private readonly context: Context,
    private readonly executor: Executor,
  ) {}

  @Answers(subjects.requestRun)
  async request({ data, meta: call }: Request<RequestRun>): Promise<Committed<RunEvent>> {
    const { ledger, log } = this.context;
    const { id, secrets, batch: joins, ...asked } = data;
    const meta = metaOf(call, id);
    const born = { ...asked, number: await ledger.number('run'), owner: meta.actor, batch: joins?.id ?? null };
    const handled = joins
      ? await this.join(joins, id, born, meta, secrets)
      : await this.executor.request(id, born, meta, secrets);
    log.debug({ run: id, position: handled.position }, 'run requested');
    return committed(handled);
  }

  /** Born in the commit in which its batch learns of it: no batch is deleted between the two. */
  private async join({ id, any }: OnOne, run: string, born: Born, meta: Meta, secrets?: SealedSecret[]) {
    const { ledger } = this.context;
    const own = { ...meta, commandId: derivedId('join', id, run) };
    const { idempotency: _, ...unkeyed } = { ...meta, commandId: run };
    const together = [await this.executor.birthOf(run, born, unkeyed, { secrets, notBefore: meta.now })];
    const order = { type: 'JoinBatch' as const, meta: own, data: { any, run } };
    const { events, repeated } = await handle(ledger, batch, id, order, { together });
    const [joined] = events as BatchEvent[];
    const first = joined?.type === 'BatchJoined' ? joined.data.run : run;
    return { ...(await firstAnswer<RunEvent>(ledger, `run-${first}`, first)), repeated };
  }

  @Answers(subjects.cancelRun)
  async cancel({ data, meta }: Request<OnOne & { reason: string | null }>): Promise<Committed<RunEvent>> {
    const { id, reason, any } = data;
    return committed(
      await report(this.context.ledger, id, { type: 'CancelRun', meta: metaOf(meta), data: { reason, any } }),
    );
  }

  @Answers(subjects.forceCompleteRun)
  async forceComplete({ data, meta }: Request<OnOne & ForceComplete>): Promise<Committed<RunEvent>> {
    const { id, ...said } = data;
    const order = { type: 'ForceCompleteRun' as const, meta: metaOf(meta), data: said };
    return committed(await report(this.context.ledger, id, order));
  }

  @Answers(subjects.purgeRun)
  async purge({ data, meta }: Request<OnOne>): Promise<Committed<RunEvent> & { erased: number }> {
    const { ledger, pool } = this.context;
    const { id, any } = data;
    const handled = await report(ledger, id, { type: 'PurgeRun', meta: metaOf(meta), data: { any } });
    return { ...committed(handled), erased: await erase(pool, [id]) };
  }

  @Answers(subjects.readOutput)
  output({ data }: Request<OutputQuestion>) {
    return readOutput(this.context.pool, data);
  }
}
