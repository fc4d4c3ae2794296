import { Controller } from '@nestjs/common';
import { Answers, subjects, type Request } from '#bus';
import { fold, isId, limit, type LimitEvent } from '#domain';
import { handle } from '#ledger';
import { Context, metaOf } from '#service';
import { explainWait } from './waiting.js';

const common = 'default';

/** The limit that holds for whoever has none of his own, and what a run waits for. */
@Controller()
export class LimitController {
  constructor(private readonly context: Context) {}

  @Answers(subjects.setDefaultLimit)
  async set({ data, meta }: Request<{ most: number }>): Promise<{ position: string }> {
    const order = { type: 'ChangeLimit' as const, meta: metaOf(meta), data };
    const alongside = ([event]: LimitEvent[]) => ({ limit_set: [{ owner: '', most: event!.data.most }] });
    const { position } = await handle(this.context.ledger, limit, common, order, { alongside });
    return { position };
  }

  @Answers(subjects.getDefaultLimit)
  async get(_request: Request<Record<string, never>>): Promise<number> {
    const history = await this.context.ledger.read(`limit-${common}`);
    return fold(limit, history as unknown as LimitEvent[]).most;
  }

  @Answers(subjects.explainWait)
  async wait({ data: { run } }: Request<{ run: string }>): Promise<string | null> {
    return isId(run) ? explainWait(this.context.pool, run) : null;
  }
}
