import { Readable } from 'node:stream';
import { Controller, Req, StreamableFile } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type OnOne, type Page, type RunFilter } from '#bus';
import { isOver, Refusal, type RunRow, type RunStatus } from '#domain';
import { Context } from '#service';
import { Caller, hasRight, idFor, sessionOf } from '../../caller.js';
import { bytesOf, storedOutput } from '../../output.js';
import { everything, jsonArray } from '../../paging.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { rowOf, waitOf } from '../../rows.js';
import { orderOf } from './jobs.orders.js';
import {
  commandOf,
  counts,
  forceBody,
  jobBody,
  jobLogs,
  jobRead,
  jobShape,
  jobsQuery,
  jobStatuses,
  statsQuery,
  statusesOf,
  statusWords,
  verdicts,
  workingDirOf,
} from './jobs.shapes.js';

const detail = z.object({ detail: z.string() });
const forced = jobRead.extend(detail.shape);
const list = z.object({ items: z.array(jobRead), total: z.int(), next: z.string().nullable().optional() });
const noSuchJob = () => new Refusal('not-found', 'RUN_NOT_FOUND', 'Job not found');
type Filter = Omit<RunFilter, 'limit' | 'cursor'>;
const issued = { detail: 'Cancel signal issued' };

@Controller()
export class JobsController {
  constructor(
    private readonly caller: Caller,
    private readonly context: Context,
  ) {}

  @Route('POST', '/api/v1/jobs', {
    policy: 'commands:run',
    summary: 'Submits a job',
    status: 202,
    body: jobBody,
    answer: jobRead,
    refuses: ['rejected'],
  })
  async submit(@Req() request: FastifyRequest): Promise<z.infer<typeof jobRead>> {
    const body = bodyOf(jobBody, request);
    const { batch_id: batch, ...job } = body;
    const order = {
      id: idFor(request, 'run'),
      ...orderOf(job, this.caller, this.context.config.RUNLEDGER_ALLOWED_ROOTS),
      ...(batch ? { batch: this.one(request, batch) } : {}),
    };
    const made = await this.caller.send(request, subjects.requestRun, order).catch(unknownBatch);
    return jobShape(rowOf(made));
  }

  @Route('GET', '/api/v1/jobs', {
    policy: 'runs:read',
    summary: "One's own jobs, newest first; admins see all",
    query: jobsQuery,
    answer: list,
  })
  async list(@Req() request: FastifyRequest): Promise<object> {
    const { status, status_filter, batch_id, limit, cursor } = queryOf(jobsQuery, request);
    const word = status ?? status_filter;
    const mine = this.mine(request);
    const filter = { ...mine, ...(word ? { status: statusesOf(word) } : {}), ...(batch_id ? { batch: batch_id } : {}) };
    const total = batch_id ? await this.totalOf(request, filter) : await this.total(request, mine, filter.status);
    if (limit !== undefined) {
      const page = await this.caller.see(request, subjects.listRuns, {
        ...filter,
        limit,
        ...(cursor ? { cursor } : {}),
      });
      return { items: page.items.map(jobShape), total, next: page.next };
    }
    const pieces = jsonArray(everything(this.pages(request, filter)), jobShape, `{"total":${total},"items":[`, ']}');
    return new StreamableFile(Readable.from(pieces), { type: 'application/json; charset=utf-8' });
  }

  @Route('GET', '/api/v1/jobs/stats', {
    policy: 'runs:read',
    summary: 'How many jobs in each status',
    query: statsQuery,
    answer: counts,
  })
  async stats(@Req() request: FastifyRequest): Promise<Record<string, number>> {
    const { all } = queryOf(statsQuery, request);
    const { id, role } = sessionOf(request).user;
    if (all === 'true' && role !== 'admin') throw new Refusal('forbidden', 'FORBIDDEN', 'Admin privilege required');
    const runs = await this.caller.see(request, subjects.countRuns, all === 'true' ? {} : { owner: id });
    const answer: Record<string, number> = Object.fromEntries(jobStatuses.map((status) => [status, 0]));
    let total = 0;
    for (const [status, number] of Object.entries(runs)) {
      answer[statusWords[status as RunStatus]]! += number;
      total += number;
    }
    return { ...answer, total };
  }

  @Route('GET', '/api/v1/jobs/:id', { policy: 'runs:read', summary: 'One job', answer: jobRead })
  async get(@Req() request: FastifyRequest): Promise<z.infer<typeof jobRead>> {
    const row = await this.find(request);
    return { ...jobShape(row), waiting_for: await waitOf(this.caller, request, row) };
  }

  @Route('GET', '/api/v1/jobs/:id/logs', {
    policy: 'runs:read',
    summary: "A finished job's output; 409 before",
    answer: jobLogs,
    refuses: ['conflict'],
  })
  async logs(@Req() request: FastifyRequest): Promise<z.infer<typeof jobLogs>> {
    const { id, status, action, exitCode, attempt } = await this.find(request);
    if (!isOver(status)) throw new Refusal('conflict', 'LOGS_NOT_READY', 'Logs not available yet');
    const given = await this.output(request, id, 0);
    const printed = await this.output(request, id, Math.max(attempt, 1));
    return {
      id,
      stdout: given.stdout ?? printed.stdout ?? '',
      stderr: given.stderr ?? printed.stderr ?? '',
      return_code: exitCode,
      command: commandOf(action),
      working_dir: workingDirOf(action),
    };
  }

  @Route('POST', '/api/v1/jobs/:id/cancel', {
    policy: 'runs:control',
    summary: 'Cancels a job',
    status: 202,
    answer: detail,
  })
  async cancel(@Req() request: FastifyRequest): Promise<{ detail: string }> {
    await this.stop(request);
    return issued;
  }

  @Route('DELETE', '/api/v1/jobs/:id', { policy: 'runs:control', summary: 'Cancels a job', answer: detail })
  async remove(@Req() request: FastifyRequest): Promise<{ detail: string }> {
    await this.stop(request);
    return issued;
  }

  @Route('POST', '/api/v1/jobs/:id/force-complete', {
    policy: 'runs:override',
    summary: 'Says what a job came to: it is ended if it runs, and its verdict is overridden if it is over',
    body: forceBody,
    answer: forced,
  })
  async forceComplete(@Req() request: FastifyRequest): Promise<z.infer<typeof forced>> {
    const { status, stdout, stderr } = bodyOf(forceBody, request);
    const { id } = await this.find(request);
    await this.caller.send(request, subjects.forceCompleteRun, {
      ...this.one(request, id),
      status: verdicts[status],
      ...(typeof stdout === 'string' ? { stdout } : {}),
      ...(typeof stderr === 'string' ? { stderr } : {}),
    });
    return { ...jobShape(await this.find(request)), detail: `Job marked as ${status}` };
  }

  @Route('DELETE', '/api/v1/jobs/:id/purge', {
    policy: 'runs:override',
    summary: 'Removes a finished job and its output; its events stay, with the purge as the last of them',
    answer: detail,
    refuses: ['rejected'],
  })
  async purge(@Req() request: FastifyRequest): Promise<{ detail: string }> {
    const { id } = await this.find(request);
    await this.caller.send(request, subjects.purgeRun, this.one(request, id));
    return { detail: 'Job purged' };
  }

  private async stop(request: FastifyRequest): Promise<void> {
    const { id } = await this.find(request);
    await this.caller.send(request, subjects.cancelRun, { ...this.one(request, id), reason: null });
  }

  private one(request: FastifyRequest, id: string): OnOne {
    return { id, any: hasRight(request, 'any:write') };
  }

  /** What is stored of an attempt's streams; nothing at all is not the same as nothing printed where a person gave it. */
  private async output(
    request: FastifyRequest,
    run: string,
    attempt: number,
  ): Promise<{ stdout?: string; stderr?: string }> {
    const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    for await (const chunk of storedOutput(this.caller, request, { run, attempt })) {
      parts[chunk.stream].push(bytesOf(chunk));
    }
    const texts = Object.entries(parts).filter(([, pieces]) => pieces.length > 0);
    return Object.fromEntries(texts.map(([stream, pieces]) => [stream, Buffer.concat(pieces).toString('utf8')]));
  }

  /** Everyone sees his own only, admins all; a hidden job is as missing as one that never was. */
  private async find(request: FastifyRequest): Promise<RunRow> {
    const row = await this.caller.find(request, subjects.getRun, { id: paramOf(request) });
    const { owner } = this.mine(request);
    if (!row || (owner !== undefined && row.owner !== owner)) throw noSuchJob();
    return row;
  }

  private mine(request: FastifyRequest): { owner?: string } {
    const { id, role } = sessionOf(request).user;
    return role === 'admin' ? {} : { owner: id };
  }

  private async total(
    request: FastifyRequest,
    mine: { owner?: string },
    statuses: RunStatus[] | undefined,
  ): Promise<number> {
    const counted = await this.caller.see(request, subjects.countRuns, mine);
    return Object.entries(counted).reduce(
      (sum, [status, runs]) => sum + (!statuses || statuses.includes(status as RunStatus) ? runs : 0),
      0,
    );
  }

  private pages(request: FastifyRequest, filter: Filter) {
    return (cursor: string | undefined, limit: number): Promise<Page<RunRow>> =>
      this.caller.see(request, subjects.listRuns, { ...filter, limit, ...(cursor ? { cursor } : {}) });
  }

  /** Nobody counts a batch's runs by status: it is small enough to be looked through. */
  private async totalOf(request: FastifyRequest, filter: Filter): Promise<number> {
    let total = 0;
    for await (const _ of everything(this.pages(request, filter))) total++;
    return total;
  }
}

/** What is named in a body and missing is the body's fault; a hidden batch is as unknown as one that never was. */
function unknownBatch(error: unknown): never {
  if (error instanceof Refusal && error.code === 'BATCH_NOT_FOUND') {
    throw new Refusal('rejected', error.code, 'Unknown batch');
  }
  throw error;
}
