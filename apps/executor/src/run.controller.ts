import { Controller } from '@nestjs/common';
import { Answers, subjects, type Committed, type OnOne, type Request, type RequestRun } from '#bus';
import { type RunEvent } from '#domain';
import { report } from '#admission';
import { committed, Context, metaOf } from '#service';
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
    const { id, secrets, ...asked } = data;
    const meta = metaOf(call, id);
    const number = await ledger.number('run');
    const born = { ...asked, number, owner: meta.actor, batch: null };
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

  @Answers(subjects.readOutput)
  output({ data }: Request<OutputQuestion>) {
    return readOutput(this.context.pool, data);
  }
}
