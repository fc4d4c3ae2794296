/** Ends this process through `stop`, whatever asks for the end first. */

/** `stop` runs once; later signals change nothing, since Ctrl-C under npm arrives twice: from the terminal and from npm. */
export function onStopSignal(stop: () => Promise<number>): void {
  let stopped: Promise<void> | undefined;
  const end = (failed: boolean) => {
    stopped ??= stop().then(
      (code) => process.exit(failed ? 1 : code),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => end(false));
  process.on('uncaughtException', (error) => {
    console.error(error);
    end(true);
  });
  // Whoever read our lines may go before us; that is no reason to leave everything running.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
}
