import { Controller } from '@nestjs/common';
import { Answers, subjects, type Committed, type OnOne, type Request, type RequestRun } from '#bus';
import { type ForceComplete, type RunEvent } from '#domain';
import { report } from '#admission';
import { committed, Context, metaOf } from '#service';
import { join } from './batch.controller.js';
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
    if (joins) await join(ledger, joins, id, meta);
    const number = await ledger.number('run');
    const born = { ...asked, number, owner: meta.actor, batch: joins?.id ?? null };
    const handled = await this.executor.request(id, born, meta, secrets);
    log.debug({ run: id, position: handled.position }, 'run requested');
    return committed(handled);
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
