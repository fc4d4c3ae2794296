/** What a process's triggers came to where no run tells it: the stream `schedule-<process>`. */
export type ScheduleEvent = {
  type: 'ScheduleFiresMissed';
  data: {
    process: string;
    /** Which of the process's triggers, from 0. */
    trigger: number;
    expression: string;
    count: number;
    first: string;
    last: string;
    reason: string;
  };
};
