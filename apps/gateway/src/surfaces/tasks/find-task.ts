import { type FastifyRequest } from 'fastify';
import { subjects, type OnOne } from '#bus';
import { Refusal } from '#domain';
import { hasRight, ownOnly, type Caller } from '../../caller.js';
import { isTask, type TaskProcess } from './task.js';

/** A hidden task is as missing as one that never was, and so is a process that is none. */
export async function findTask(
  caller: Caller,
  request: FastifyRequest,
  id: string,
  after?: string,
): Promise<TaskProcess> {
  const row = await caller.find(request, subjects.getProcess, { id, ...(after ? { after } : {}) });
  const { owner } = ownOnly(request);
  if (row && isTask(row) && (owner === undefined || row.owner === owner)) return row;
  throw new Refusal('not-found', 'TASK_NOT_FOUND', 'Task not found');
}

export const onTask = (request: FastifyRequest, { id }: TaskProcess): OnOne => ({
  id,
  any: hasRight(request, 'any:write'),
});
