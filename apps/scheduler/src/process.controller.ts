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
  CronError,
  fold,
  noSuchProcess,
  process,
  Refusal,
  type CalendarEvent,
  type DomainEvent,
  type Meta,
  type Policies,
  type Process,
  type ProcessCommand,
  type ProcessEvent,
  type RunEvent,
  type SealedSecret,
} from '#domain';
import { admit, secretRows } from '#admission';
import { handle, repeated, type Alongside, type HandleOptions } from '#ledger';
import { committed, Context, metaOf } from '#service';
import { timersAfter } from './timers.js';

type Answer = Promise<Committed<ProcessEvent>>;

@Controller()
export class ProcessController {
  constructor(private readonly context: Context) {}

  @Answers(subjects.defineProcess)
  async define({ data: { id, secrets, ...settings }, meta: call }: Request<DefineProcess>): Answer {
    const meta = metaOf(call);
    const before = await this.before<ProcessEvent>(meta);
    if (before) return before;
    await this.checkBlackouts(settings.policies);
    const number = await this.context.ledger.number('process');
    const data = { ...settings, number, owner: meta.actor };
    return this.order(id, { type: 'DefineProcess', meta, data }, { creating: true, secrets });
  }

  @Answers(subjects.reviseProcess)
  async revise({ data: { id, secrets, ...order }, meta: call }: Request<ReviseProcess>): Answer {
    const meta = metaOf(call);
    const before = await this.before<ProcessEvent>(meta);
    if (before) return before;
    await this.checkBlackouts(order.change.policies, id);
    return this.order(id, { type: 'ReviseProcess', meta, data: order }, { secrets });
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
    const before = await this.before<RunEvent>(meta);
    if (before) return before;
    const state = await this.stateOf(data.id);
    const mine = data.any || state.owner === meta.actor;
    if (!state.settings || state.status === 'retired' || !mine) throw noSuchProcess();
    const { name, action, policies } = state.settings;
    const number = await ledger.number('run');
    const of = { id: data.id, number: state.number, name, revision: state.revision };
    const born = { number, name, process: of, action, policies, owner: meta.actor, parameters: data.parameters };
    const asked = { ...born, batch: null, scheduledFor: null, retryOf: null, payload: null };
    return committed(await admit(ledger, data.run, asked, meta));
  }

  /** The first answer to an order that is repeated by its key: whatever became since of what it names. */
  private async before<E extends DomainEvent>(meta: Meta): Promise<Committed<E> | null> {
    const handled = meta.idempotency ? await repeated<E>(this.context.ledger, meta) : null;
    return handled && committed(handled);
  }

  private async stateOf(id: string): Promise<Process> {
    return fold(process, (await this.context.ledger.read(`process-${id}`)) as unknown as ProcessEvent[]);
  }

  /** A misspelt name would be a blackout that never is. One that the process has stays, though its calendar was retired since. */
  private async checkBlackouts({ blackouts = [] }: Partial<Policies> = {}, id?: string): Promise<void> {
    if (blackouts.length === 0) return;
    const { ledger } = this.context;
    const had = id === undefined ? null : (await this.stateOf(id)).settings;
    const kept = new Set(had?.policies.blackouts?.map(calendarId));
    const found = await Promise.all(blackouts.map((name) => ledger.read(`calendar-${calendarId(name)}`)));
    const isThere = (history: unknown) => fold(calendar, history as CalendarEvent[]).settings !== null;
    const unknown = blackouts.findIndex((name, i) => !kept.has(calendarId(name)) && !isThere(found[i]));
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
    return committed(await handle(ledger, process, id, command, options).catch(refuseIncomputable));
  }
}

/** A trigger was in order when it was written; its zone may have gone since. */
function refuseIncomputable(error: unknown): never {
  if (!(error instanceof CronError)) throw error;
  throw new Refusal('rejected', 'TRIGGER_BROKEN', `Its schedule cannot be computed, change it first: ${error.message}`);
}

/** A retired process holds none; runs that still need one hold it themselves. */
function heldAfter(id: string, { status, settings }: Process, fresh?: SealedSecret[]): Alongside {
  if (status === 'retired') return { secret_drop: [{ process: id }] };
  return settings ? secretRows(id, settings.action, fresh) : {};
}
