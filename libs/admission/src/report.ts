import { run, type Meta, type Run, type RunCommand, type RunEvent } from '#domain';
import { handle, type Alongside, type Handled, type Ledger } from '#ledger';

type Report = Extract<RunCommand, { type: 'FinishRun' | 'LoseRun' | 'CancelRun' | 'ReportProgress' }>;

/** Carries a command to a run's stream with what it means for the queue: ended rows leave, retried ones wait again. */
export function report(
  ledger: Ledger,
  id: string,
  command: Report,
  known?: { state: Run; version: number },
): Promise<Handled<RunEvent>> {
  return handle(ledger, run, id, command, {
    ...(known ? { known } : {}),
    alongside: (events, _, version) => queueRows(id, events, version),
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
      return { queue_end: [{ run }] };
    default:
      return {};
  }
}

export const lose = (meta: Meta, attempt: number, epoch: string, reason: string): Report => ({
  type: 'LoseRun',
  meta,
  data: { attempt, epoch, reason },
});
