import { Controller } from '@nestjs/common';
import { Answers, subjects, type Request, type Tick } from '#bus';
import { withStore } from '#ledger';
import { Context } from '#service';
import { ticksOf } from './ticks.js';

@Controller()
export class ScheduleController {
  constructor(private readonly context: Context) {}

  @Answers(subjects.listTicks)
  ticks({ data }: Request<{ process: string; from: string; to: string; limit: number }>): Promise<Tick[]> {
    return withStore(() => ticksOf(this.context, data));
  }
}
