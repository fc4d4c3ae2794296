/** An expression or zone that cannot be scheduled; the message says what to change and may be shown to the caller. */
export class CronError extends Error {
  override readonly name = 'CronError';
}
