import path from 'node:path';
import { type z } from 'zod';
import { type CreateBatch } from '#bus';
import { Refusal } from '#domain';
import { type Caller } from '../../caller.js';
import { titleOf, type jobBody } from './jobs.shapes.js';

type Job = Omit<z.infer<typeof jobBody>, 'batch_id'>;

/** A job as the services take it; its secrets are sealed here. `roots`: where it may work, anywhere when there is none. */
export function orderOf(job: Job, caller: Caller, roots: string[], place = ''): CreateBatch['runs'][number] {
  const { command, env, name, payload = null, priority, queue, scheduled_at: scheduledFor = null } = job;
  const cwd = job.working_dir ?? undefined;
  checkDirectory(cwd, roots, place);
  const action = { kind: 'command' as const, command, ...(cwd ? { cwd } : {}), ...(env ? { env } : {}) };
  return {
    name: name ?? titleOf(command),
    ...caller.seal(action),
    policies: { priority, queue },
    ...{ payload, parameters: null, scheduledFor, retryOf: null, process: null },
  };
}

function checkDirectory(dir: string | undefined, roots: string[], place: string): void {
  if (dir === undefined || roots.length === 0) return;
  // A relative one would mean the folder that this process happens to stand in.
  const real = path.isAbsolute(dir) ? path.resolve(dir) : null;
  if (real && roots.some((root) => real === root || real.startsWith(`${root.replace(/\/$/, '')}/`))) return;
  throw new Refusal('rejected', 'OUTSIDE_ROOTS', `${place}Working directory outside allowed paths`);
}
