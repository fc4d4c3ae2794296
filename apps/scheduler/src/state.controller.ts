import { Controller } from '@nestjs/common';
import { Answers, subjects, type Request } from '#bus';

/** For whoever asks how the whole is: a scheduler that answers is there. */
@Controller()
export class StateController {
  @Answers(subjects.schedulerRuns)
  runs(_request: Request<Record<string, never>>): Promise<boolean> {
    return Promise.resolve(true);
  }
}
