import { run, type Meta, type Run, type RunCommand, type RunEvent } from '#domain';
import { handle, type Alongside, type Handled, type Ledger } from '#ledger';

type Report = Exclude<RunCommand, { type: 'RequestRun' }>;

/** Carries a command to a run's stream with what it means for the rows beside it: ended ones leave the queue, retried ones wait again. */
export function report(
  ledger: Ledger,
  id: string,
  command: Report,
  known?: { state: Run; version: number },
): Promise<Handled<RunEvent>> {
  return handle(ledger, run, id, command, {
    ...(known ? { known } : {}),
    alongside: (events, _, version) => ({ ...queueRows(id, events, version), ...givenOutput(id, command) }),
  });
}

function queueRows(run: string, events: RunEvent[], version: number): Alongside {
  const last = events.at(-1)!;
  switch (last.type) {
    case 'RunRetryScheduled':
      return { queue_retry: [{ run, dueAt: last.data.dueAt, version }] };
    case 'RunCancelRequested':
      return { queue_cancel: [{ run }] };
    case 'RunSucceeded':
    case 'RunFailed':
    case 'RunTimedOut':
    case 'RunCancelled':
    case 'RunLost':
    case 'RunForceCompleted':
      return { queue_end: [{ run }] };
    case 'RunPurged':
      return { output_purge: [{ run }], secret_drop: [{ run }] };
    default:
      return {};
  }
}

/** Output is rows beside the events, that which a person gives for a run too. */
function givenOutput(run: string, { type, data }: Report): Alongside {
  if (type !== 'ForceCompleteRun') return {};
  const texts = [data.stdout, data.stderr];
  const rows = texts.flatMap((text, stream) => (text === undefined ? [] : [{ run, stream, text }]));
  return rows.length > 0 ? { output_give: rows } : {};
}

export const lose = (meta: Meta, attempt: number, epoch: string, reason: string): Report => ({
  type: 'LoseRun',
  meta,
  data: { attempt, epoch, reason },
});
