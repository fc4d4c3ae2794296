import { Controller } from '@nestjs/common';
import {
  Answers,
  subjects,
  type Committed,
  type DefineProcess,
  type OnOne,
  type Request,
  type ReviseProcess,
} from '#bus';
import {
  calendar,
  calendarId,
  fold,
  noSuchProcess,
  process,
  Refusal,
  type CalendarEvent,
  type Policies,
  type Process,
  type ProcessCommand,
  type ProcessEvent,
  type RunEvent,
  type SealedSecret,
} from '#domain';
import { admit, secretRows } from '#admission';
import { handle, type Alongside, type HandleOptions } from '#ledger';
import { committed, Context, metaOf } from '#service';
import { timersAfter } from './timers.js';

type Answer = Promise<Committed<ProcessEvent>>;

@Controller()
export class ProcessController {
  constructor(private readonly context: Context) {}

  @Answers(subjects.defineProcess)
  async define({ data: { id, secrets, ...settings }, meta: call }: Request<DefineProcess>): Answer {
    const meta = metaOf(call);
    await this.checkBlackouts(settings.policies);
    const number = await this.context.ledger.number('process');
    const data = { ...settings, number, owner: meta.actor };
    return this.order(id, { type: 'DefineProcess', meta, data }, { creating: true, secrets });
  }

  @Answers(subjects.reviseProcess)
  async revise({ data, meta }: Request<ReviseProcess>): Answer {
    const { id, secrets, ...order } = data;
    await this.checkBlackouts(order.change.policies);
    return this.order(id, { type: 'ReviseProcess', meta: metaOf(meta), data: order }, { secrets });
  }

  @Answers(subjects.enableProcess)
  enable({ data: { id, any }, meta }: Request<OnOne>): Answer {
    return this.order(id, { type: 'EnableProcess', meta: metaOf(meta), data: { any } });
  }

  @Answers(subjects.disableProcess)
  disable({ data, meta }: Request<OnOne & { reason: string | null; until: string | null }>): Answer {
    const { id, ...order } = data;
    return this.order(id, { type: 'DisableProcess', meta: metaOf(meta), data: order });
  }

  @Answers(subjects.retireProcess)
  retire({ data: { id, any }, meta }: Request<OnOne>): Answer {
    return this.order(id, { type: 'RetireProcess', meta: metaOf(meta), data: { any } });
  }

  /** Requests a run by hand: of the process as it is now, enabled or not. */
  @Answers(subjects.runProcess)
  async run({
    data,
    meta: call,
  }: Request<OnOne & { run: string; parameters: Record<string, unknown> | null }>): Promise<Committed<RunEvent>> {
    const { ledger } = this.context;
    const meta = metaOf(call);
    const history = await ledger.read(`process-${data.id}`);
    const state = fold(process, history as unknown as ProcessEvent[]);
    const mine = data.any || state.owner === meta.actor;
    if (!state.settings || state.status === 'retired' || !mine) throw noSuchProcess();
    const { name, action, policies } = state.settings;
    const number = await ledger.number('run');
    const of = { id: data.id, number: state.number, name, revision: state.revision };
    const born = { number, name, process: of, action, policies, owner: meta.actor, parameters: data.parameters };
    const asked = { ...born, batch: null, scheduledFor: null, retryOf: null, payload: null };
    return committed(await admit(ledger, data.run, asked, meta));
  }

  /** A misspelt name would be a blackout that never is. */
  private async checkBlackouts({ blackouts = [] }: Partial<Policies> = {}): Promise<void> {
    const { ledger } = this.context;
    const found = await Promise.all(blackouts.map((name) => ledger.read(`calendar-${calendarId(name)}`)));
    const unknown = found.findIndex((history) => !fold(calendar, history as unknown as CalendarEvent[]).settings);
    if (unknown < 0) return;
    const message = `there is no calendar ${JSON.stringify(blackouts[unknown])}`;
    const issues = [{ code: 'custom', path: ['policies', 'blackouts', unknown], message }];
    throw new Refusal('malformed', 'NO_SUCH_CALENDAR', `policies.blackouts.${unknown}: ${message}`, { issues });
  }

  private async order(
    id: string,
    command: ProcessCommand,
    { creating = false, secrets }: { creating?: boolean; secrets?: SealedSecret[] } = {},
  ): Answer {
    const { ledger, log } = this.context;
    log.debug({ process: id, command: command.type }, 'process command');
    const options: HandleOptions<Process, ProcessEvent> = {
      creating,
      alongside: (_, state, version) => ({
        ...timersAfter(id, state, version),
        ...heldAfter(id, state, secrets),
      }),
    };
    return committed(await handle(ledger, process, id, command, options));
  }
}

/** A retired process holds none; runs that still need one hold it themselves. */
function heldAfter(id: string, { status, settings }: Process, fresh?: SealedSecret[]): Alongside {
  if (status === 'retired') return { secret_drop: [{ process: id }] };
  return settings ? secretRows(id, settings.action, fresh) : {};
}
