import { birth } from '#admission';
import { derivedId, expressionOf, scheduledRunId, scheduleOf, type ScheduleEvent, type Trigger } from '#domain';
import { type Append, type Verdict } from '#ledger';
import { systemMeta, type Context } from '#service';
import { decide, type Decision, type Skip } from './due.js';
import { type Standing } from './standing.js';
import { type Definition } from './timers.js';

/** A timer that is due, as it was read. */
export interface DueTimer {
  process_id: string;
  ordinal: number;
  version: number;
  trigger: Trigger;
  watermark: Date | string;
  definition: Definition;
  now: Date | string;
  /** Version of the stream that says what did not fire. */
  told: number;
}

/** Decides what a timer's due instants come to and writes it down; false when it has to be read again, because something changed meanwhile. */
export async function fire({ ledger, log }: Context, timer: DueTimer, standing: Standing): Promise<boolean> {
  const { definition, process_id: id, version } = timer;
  const schedule = scheduleOf(timer.trigger);
  const blockAt = standing.blockAt(definition);
  const decision = decide(schedule, new Date(timer.watermark), new Date(timer.now), definition.policies, blockAt);
  // That nobody has noted meanwhile what came to these instants, too.
  const requires = [{ stream: `process-${id}`, version }, toldOf(timer), ...standing.requires(definition)];
  const advance = advanceOf(timer, decision);
  const skips = decision.skips.length > 0;
  const births = decision.fires.map((instant) => birthOf(timer, instant));
  const numbered = await Promise.all(births.map(async (make) => make(await ledger.number('run'))));
  // The watermark moves with the last of them.
  const appends = numbered.map((append, i) => {
    const alongside = !skips && i === numbered.length - 1 ? { ...append.alongside, ...advance } : append.alongside!;
    return { ...append, alongside, requires };
  });
  const answers = await Promise.all(appends.map((append) => ledger.append(append)));
  if (answers.some(({ verdict }) => isStale(verdict))) return false;
  for (const instant of decision.fires) log.debug({ process: id, instant }, 'fired');
  if (skips) {
    const { verdict } = await ledger.append({ ...skipped(timer, decision.skips), requires, alongside: advance });
    if (isStale(verdict)) return false;
    // Somebody's note from here on is there, and went with his watermark: up to where he had looked, which may be less far.
    if (verdict.verdict === 'duplicate') return true;
    for (const skip of decision.skips)
      if (skip.reason === 'missed') log.warn({ process: id, ...skip }, 'due instants were missed');
  } else if (answers.at(-1)?.verdict.verdict !== 'appended') await ledger.call(advance);
  return true;
}

const toldOf = ({ process_id, told }: DueTimer) => ({ stream: `schedule-${process_id}`, version: told });

/** The process, its notes, its owner's rights or the pause have changed since the timer was read: the next tick reads them. */
const isStale = ({ verdict }: Verdict) => verdict === 'stale' || verdict === 'conflict';

function advanceOf({ process_id: process, ordinal, version }: DueTimer, { watermark, next: nextAt }: Decision) {
  return { timer_advance: [{ process, ordinal, version, watermark, nextAt }] };
}

function birthOf({ process_id: id, definition }: DueTimer, instant: string): (number: number) => Append {
  const runId = scheduledRunId(id, instant);
  const { number, name, revision, action, policies, owner } = definition;
  const process = { id, number, name, revision };
  return (runNumber) => {
    const meta = systemMeta(derivedId('fire', id, instant), runId);
    const born = { number: runNumber, name, process, action, policies, owner, scheduledFor: instant };
    return birth(runId, { ...born, batch: null, retryOf: null, parameters: null, payload: null }, meta);
  };
}

/** Before the watermark moves over them: an instant that did not fire says why. Told once: who comes second finds the stream longer. */
function skipped(timer: DueTimer, skips: Skip[]): Append {
  const { process_id: process, ordinal, version, trigger, watermark } = timer;
  const from = [String(ordinal), String(version), new Date(watermark).toISOString()];
  const meta = systemMeta(derivedId('skipped', process, ...from), process);
  const of = { process, trigger: ordinal, expression: expressionOf(trigger) };
  const events = skips.map(({ reason, cause, ...instants }): ScheduleEvent => {
    if (reason === 'missed')
      return { type: 'ScheduleFiresMissed', data: { ...of, ...instants, reason: 'missed while nothing ran' } };
    return { type: 'ScheduleFiresSkipped', data: { ...of, ...instants, reason, cause: cause! } };
  });
  const { stream, version: expected } = toldOf(timer);
  return { stream, expected, events, meta };
}
