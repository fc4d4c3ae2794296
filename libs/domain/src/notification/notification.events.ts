/** What a channel was told of a run, and how that went. */
export interface Notice {
  run: string;
  process: string | null;
  owner: string;
  channel: string;
  title: string;
  at: string;
  attempts: number;
  answer: string;
}

export type NotificationEvent =
  { type: 'NotificationSent'; data: Notice } | { type: 'NotificationFailed'; data: Notice };
