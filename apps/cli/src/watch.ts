/** What the commands do that stay with a run. */
import { type Api } from './api.js';
import { endOf } from './ends.js';
import { follow } from './follow.js';
import { printJson, printText, say } from './print.js';
import { RunOutput } from './run-output.js';
import { type Run } from './shapes.js';

interface Requested {
  id: string;
  /** From here on it can be read. */
  position: string | undefined;
  follow: boolean | undefined;
  json: boolean | undefined;
}

/** A run was asked for: prints which, or stays with it; answers the exit code. */
export async function requested(api: Api, { id, position, follow: stay, json }: Requested): Promise<number> {
  if (stay) {
    say(`Run ${id}`);
    leaveAlone(id);
    const run = await follow(api, id, new RunOutput(api, id, 1, sinksFor(json)));
    if (json) await printJson(run);
    return conclude(run);
  }
  if (json) await printJson(await api.get<Run>(`/api/v1/runs/${id}`, { after: position }));
  else await printText(id);
  return 0;
}

/** With `--json`, stdout is for one value alone. */
export const sinksFor = (json: boolean | undefined) =>
  json ? { stdout: process.stderr, stderr: process.stderr } : { stdout: process.stdout, stderr: process.stderr };

/** Says how the run ended, unless all is well. */
export function conclude(run: Run): number {
  const { code, message } = endOf(run);
  if (message !== null) say(message);
  return code;
}

/** Ctrl-C leaves the run alone. */
export const leaveAlone = (id: string): void => onInterrupt(`The run goes on. To end it: runledger cancel ${id}`);

export function onInterrupt(message: string): void {
  process.once('SIGINT', () => {
    say(`\n${message}`);
    process.exit(130);
  });
}
