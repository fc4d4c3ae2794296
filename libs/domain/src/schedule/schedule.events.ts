/** What a process's triggers came to where no run tells it: the stream `schedule-<process>`. */
export type ScheduleEvent =
  | { type: 'ScheduleFiresMissed'; data: Instants & { reason: string } }
  /** `cause` in words: the pause's reason, the calendar's name, what the owner lacks. */
  | { type: 'ScheduleFiresSkipped'; data: Instants & { reason: BlockReason; cause: string } };

/** Why the clock fires nothing at an instant: everything was paused, a blackout calendar, the owner lost his rights. */
export type BlockReason = 'paused' | 'blackout' | 'owner';

/** Each instant of the trigger from the first to the last one that no run stands for. */
interface Instants {
  process: string;
  /** Which of the process's triggers, from 0. */
  trigger: number;
  expression: string;
  count: number;
  first: string;
  last: string;
}
