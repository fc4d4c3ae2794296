import { Controller } from '@nestjs/common';
import { Answers, subjects, type Committed, type Request } from '#bus';
import { pause, pauseAt, type PauseCommand, type PauseEvent, type PauseInterval } from '#domain';
import { handle } from '#ledger';
import { committed, Context, metaOf } from '#service';
import { pauseStream, readPause } from './standing.js';

/** The switch that keeps all triggers from firing. */
@Controller()
export class PauseController {
  constructor(private readonly context: Context) {}

  @Answers(subjects.beginPause)
  begin({ data, meta }: Request<{ reason: string; until: string | null }>): Promise<Committed<PauseEvent>> {
    return this.order({ type: 'BeginPause', meta: metaOf(meta), data });
  }

  @Answers(subjects.endPause)
  end({ meta }: Request<Record<string, never>>): Promise<Committed<PauseEvent>> {
    return this.order({ type: 'EndPause', meta: metaOf(meta), data: {} });
  }

  @Answers(subjects.getPause)
  async get(_request: Request<Record<string, never>>): Promise<PauseInterval | null> {
    const { state } = await readPause(this.context.ledger);
    return pauseAt(state, new Date().toISOString());
  }

  private async order(command: PauseCommand): Promise<Committed<PauseEvent>> {
    const id = pauseStream.slice('pause-'.length);
    return committed(await handle(this.context.ledger, pause, id, command));
  }
}
