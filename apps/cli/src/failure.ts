/** What went wrong and what to do about it, in one line, with the exit code that says so. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly exitCode = 1,
    /** Asking again in a while may help. */
    readonly passing = false,
  ) {
    super(message);
  }
}

/** The command line itself was wrong. */
export const misuse = (message: string): Failure => new Failure(message, 2);
