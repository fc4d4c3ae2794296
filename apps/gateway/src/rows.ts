import { type FastifyRequest } from 'fastify';
import { subjects, type BatchCard, type Committed, type CreateBatch, type ProcessListed } from '#bus';
import {
  batchRunId,
  defaultPriority,
  foldRun,
  may,
  noSuchBatch,
  overWithBirth,
  Refusal,
  runStatuses,
  streamParts,
  type ActionKind,
  type BatchEvent,
  type RunEvent,
  type RunRow,
} from '#domain';
import { hasRight, maySee, sessionOf, type Caller } from './caller.js';

/** A run as its own events tell it, for an answer that need not wait for the view. */
export function rowOf({ stream, events }: Committed<RunEvent>): RunRow {
  const { id } = streamParts(stream);
  const row = events.reduce<RunRow | null>((seen, event) => foldRun(seen, id, event as unknown as RunEvent), null);
  if (!row) throw new Error(`${stream} has no beginning`);
  return row;
}

const noSuchRun = () => new Refusal('not-found', 'RUN_NOT_FOUND', 'No such run');

/** The run, or the same "not found" for one that is hidden as for one that is missing. */
export async function findRun(caller: Caller, request: FastifyRequest, id: string, after?: string): Promise<RunRow> {
  const row = await caller.find(request, subjects.getRun, { id, ...(after ? { after } : {}) });
  if (!row || !maySee(request, row)) throw noSuchRun();
  return row;
}

/** The run, if the asker may do more with it than look at it. */
export async function findOwnRun(caller: Caller, request: FastifyRequest, id: string): Promise<RunRow> {
  const row = await findRun(caller, request, id);
  if (row.owner === sessionOf(request).user.id || hasRight(request, 'any:write')) return row;
  throw noSuchRun();
}

export async function findProcess(
  caller: Caller,
  request: FastifyRequest,
  id: string,
  after?: string,
): Promise<ProcessListed> {
  const row = await caller.find(request, subjects.getProcess, { id, ...(after ? { after } : {}) });
  if (!row || !maySee(request, row)) throw new Refusal('not-found', 'PROCESS_NOT_FOUND', 'No such process');
  return row;
}

/** Why a run that is asked for has not started; null when it has, or is over. */
export async function waitOf(caller: Caller, request: FastifyRequest, { id, status }: RunRow): Promise<string | null> {
  return status === 'queued' ? caller.send(request, subjects.explainWait, { run: id }) : null;
}

/** `owner`: whose batches may be seen; everybody's when it is empty. */
export async function findBatch(
  caller: Caller,
  request: FastifyRequest,
  id: string,
  { owner }: { owner?: string },
  after?: string,
): Promise<BatchCard> {
  const card = await caller.find(request, subjects.getBatch, { id, ...(after ? { after } : {}) });
  if (!card || (owner !== undefined && card.owner !== owner)) throw noSuchBatch();
  return card;
}

/** A batch as its own first event tells it, for an answer that need not wait for the view; null for a repeat, which has gone on. */
export function cardOf({ stream, events, repeated }: Committed<BatchEvent>): BatchCard | null {
  const [created] = events as BatchEvent[];
  if (repeated || created?.type !== 'BatchCreated') return null;
  const { name, description, owner, total, at: createdAt } = created.data;
  const over = overWithBirth(created.data);
  const none = Object.fromEntries(runStatuses.map((status) => [status, 0])) as BatchCard['counts'];
  const counts = { ...none, queued: total - over, succeeded: over };
  return { id: streamParts(stream).id, name, description, owner, createdAt, counts };
}

/** Its runs as the order tells them, while all of them wait; the numbers that they were given are not among it. */
export function* rowsOfBatch({ runs }: CreateBatch, { id, owner, createdAt }: BatchCard): Generator<RunRow> {
  for (const [i, { secrets: _, ...asked }] of runs.entries()) {
    const born = { ...asked, number: 0, priority: asked.policies.priority ?? defaultPriority, owner, batch: id };
    yield foldRun(null, batchRunId(id, i), { type: 'RunRequested', data: { ...born, requestedAt: createdAt } })!;
  }
}

/** Commands run with the executor's rights on its machine: not for everybody who may run a load. */
export function checkAction(request: FastifyRequest, { kind }: { kind: ActionKind }): void {
  const { role } = sessionOf(request).user;
  if (kind !== 'noop' && !may(role, 'commands:run')) {
    throw new Refusal('forbidden', 'FORBIDDEN', `Your role (${role}) may not run a ${kind}`);
  }
}
