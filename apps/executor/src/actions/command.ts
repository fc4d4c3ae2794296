import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { timeoutOf } from '#domain';
import { ended, type Attempt } from '../attempt.js';
import { type ActionRunner } from './host.js';

/** Runs a program in its own session through the launcher. */
export const command: ActionRunner<'command'> = async (attempt, action, host) => {
  const argv = action.command ?? ['/bin/sh', '-c', action.shell!];
  if (action.cwd !== undefined && host.allowedRoots.length > 0 && !(await isUnder(action.cwd, host.allowedRoots))) {
    const error = `working directory outside the allowed roots: ${action.cwd}`;
    return host.finish(attempt, ended({ error }));
  }
  const opened = await host.open(attempt, action.env ?? {});
  if (!opened) return;
  const timeoutMs = timeoutOf(attempt.claimed.work.policies) ?? undefined;
  const env = { ...own(), ...opened.env, ...told(attempt) };
  host.launch(attempt, { argv, cwd: action.cwd, env, secret: opened.secret, timeoutMs });
};

/** Where commands find their programs. */
export const searchPath = (): string => process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin';

/** Nothing else of the executor's environment reaches a command: it holds the database's address, among others. */
function own(): Record<string, string> {
  const { HOME = '/', LANG = 'C.UTF-8', TZ } = process.env;
  return { PATH: searchPath(), HOME, LANG, ...(TZ ? { TZ } : {}) };
}

function told({ claimed: { run, attempt, work } }: Attempt): Record<string, string> {
  return {
    RUNLEDGER_RUN_ID: run,
    RUNLEDGER_ATTEMPT: String(attempt),
    ...(work.process ? { RUNLEDGER_PROCESS: work.process.name } : {}),
    ...(work.scheduledFor ? { RUNLEDGER_SCHEDULED_FOR: work.scheduledFor } : {}),
  };
}

async function isUnder(dir: string, roots: string[]): Promise<boolean> {
  if (!path.isAbsolute(dir)) return false;
  const [real, ...tops] = await Promise.all(
    [dir, ...roots].map((each) => realpath(each).catch(() => path.resolve(each))),
  );
  return tops.some((top) => real === top || real!.startsWith(`${top.replace(/\/$/, '')}/`));
}
