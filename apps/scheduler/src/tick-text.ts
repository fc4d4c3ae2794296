import { type ProcessEvent, type RunRow, type ScheduleEvent } from '#domain';

/** Sentences for a person who asks why something did, or did not, run. */
export const purgedText = 'It ran; the run has been purged.';
export const undecidedText = 'It is due and has not been decided yet: is a scheduler running?';

const late = 60_000;

export function firedText(at: string, { number, status, reason, attempt, requestedAt }: RunRow): string {
  const behind = Date.parse(requestedAt) - Date.parse(at);
  const caughtUp = behind > late ? `, caught up ${minutes(behind)} late` : '';
  if (attempt === 0 && (status === 'queued' || status === 'held'))
    return `Run ${number} waits in the queue${caughtUp}${reason ? `: ${reason}` : ''}.`;
  if (status === 'running' || status === 'queued') return `Run ${number} is under way${caughtUp}.`;
  return `Run ${number} ${status.replace('-', ' ')}${caughtUp}${reason ? `: ${reason}` : ''}.`;
}

function minutes(milliseconds: number): string {
  const count = Math.round(milliseconds / 60_000);
  return count < 120 ? `${count} minutes` : `${Math.round(count / 60)} hours`;
}

export function notedText({ type, data }: ScheduleEvent): string {
  if (type === 'ScheduleFiresMissed') return `Skipped: ${data.reason}, and its catch-up policy leaves it out.`;
  switch (data.reason) {
    case 'paused':
      return pausedText({ reason: data.cause });
    case 'blackout':
      return `Skipped: the blackout calendar “${data.cause}” was in force.`;
    case 'owner':
      return `Skipped: ${data.cause}.`;
  }
}

export const pausedText = ({ reason }: { reason: string }): string => `Skipped: everything was paused (${reason}).`;

export function disabledText(disabled: { reason: string | null } | null): string {
  return `Skipped: the process was paused${disabled?.reason ? ` (${disabled.reason})` : ''}.`;
}

const changes: Partial<Record<ProcessEvent['type'], string>> = {
  ProcessRevised: 'revised',
  ProcessDisabled: 'paused',
  ProcessRetired: 'retired',
};

export const changedText = ({ type, data }: ProcessEvent): string =>
  `Skipped: the process was ${changes[type] ?? 'changed'} at ${data.at} before this instant was decided.`;
