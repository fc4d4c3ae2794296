/** What a run's end is to the shell that waited for it. */
import { constants } from 'node:os';
import { type Run } from './shapes.js';

export interface End {
  readonly code: number;
  /** Null when all is well. */
  readonly message: string | null;
}

/** The command's own exit code, 128 + n when a signal killed it, and 1 when it has none of its own. */
export function endOf(run: Run): End {
  if (run.status === 'succeeded') return { code: 0, message: null };
  return { code: run.exitCode || signalCode(run) || 1, message: `Run ${run.id} ${story(run)}` };
}

/** A run that was stopped died of our own signal: that is no answer of the command. */
function signalCode({ status, signal }: Run): number {
  if (status !== 'failed' || signal === null) return 0;
  const number = constants.signals[signal as NodeJS.Signals] as number | undefined;
  return number === undefined ? 0 : 128 + number;
}

function story({ status, reason, exitCode, signal }: Run): string {
  if (status === 'failed' && exitCode !== null) return `failed with exit code ${exitCode}.`;
  const why = reason ?? (signal === null ? null : `killed by ${signal}`);
  const word = { 'timed-out': 'timed out', lost: 'was lost', cancelled: 'was cancelled', skipped: 'was skipped' }[
    status
  ];
  return `${word ?? status}${why === null ? '' : `: ${why}`}.`;
}
