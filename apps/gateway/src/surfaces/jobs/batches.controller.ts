import { Readable } from 'node:stream';
import { Controller, Req, StreamableFile } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type BatchCard, type OnOne } from '#bus';
import { type RunRow } from '#domain';
import { Context } from '#service';
import { Caller, hasRight, idFor, sessionOf } from '../../caller.js';
import { everything, jsonArray } from '../../paging.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { cardOf, findBatch, rowsOfBatch } from '../../rows.js';
import { batchBody, batchForceBody, batchRead, batchShape, batchesQuery } from './batches.shapes.js';
import { orderOf } from './jobs.orders.js';
import { jobRead, jobShape, verdicts } from './jobs.shapes.js';

const detail = z.object({ detail: z.string() });
const batchWithJobs = batchRead.extend({ jobs: z.array(jobRead) });
const list = z.object({ items: z.array(batchRead), total: z.int(), next: z.string().nullable().optional() });
const largest = 16 * 1_048_576;

/** Many jobs at once, all or none. What a batch came to follows from its jobs. */
@Controller()
export class JobsBatchController {
  constructor(
    private readonly caller: Caller,
    private readonly context: Context,
  ) {}

  @Route('POST', '/api/v1/job-batches', {
    policy: 'commands:run',
    summary: 'Submits up to 10,000 jobs, all or none',
    status: 202,
    body: batchBody,
    bodyLimit: largest,
    answer: batchWithJobs,
    refuses: ['rejected'],
  })
  async create(@Req() request: FastifyRequest): Promise<StreamableFile> {
    const { name, description = null, jobs } = bodyOf(batchBody, request);
    const roots = this.context.config.RUNLEDGER_ALLOWED_ROOTS;
    const runs = jobs.map((job, i) => orderOf(job, this.caller, roots, `jobs[${i}]: `));
    const order = { id: idFor(request, 'batch'), name: name ?? 'batch', description, runs };
    const made = await this.caller.send(request, subjects.createBatch, order);
    const card = cardOf(made);
    if (card) return batchWith(card, rowsOfBatch(order, card));
    return this.withJobs(request, await findBatch(this.caller, request, order.id, {}));
  }

  @Route('GET', '/api/v1/job-batches', {
    policy: 'runs:read',
    summary: "One's own batches, newest first; admins see all",
    query: batchesQuery,
    answer: list,
  })
  async list(@Req() request: FastifyRequest): Promise<object> {
    const { limit, cursor } = queryOf(batchesQuery, request);
    const mine = this.mine(request);
    const total = await this.caller.see(request, subjects.countBatches, mine);
    const page = (from: string | undefined, most: number) =>
      this.caller.see(request, subjects.listBatches, { ...mine, limit: most, ...(from ? { cursor: from } : {}) });
    if (limit !== undefined) {
      const { items, next } = await page(cursor, limit);
      return { items: items.map(batchShape), total, next };
    }
    return streamed(jsonArray(everything(page), batchShape, `{"total":${total},"items":[`, ']}'));
  }

  @Route('GET', '/api/v1/job-batches/:id', {
    policy: 'runs:read',
    summary: 'One batch with its jobs, in the order in which they were submitted',
    answer: batchWithJobs,
  })
  async get(@Req() request: FastifyRequest): Promise<StreamableFile> {
    return this.withJobs(request, await this.find(request));
  }

  @Route('POST', '/api/v1/job-batches/:id/cancel', {
    policy: 'runs:control',
    summary: 'Cancels every job of it that is not finished',
    status: 202,
    answer: detail,
  })
  async cancel(@Req() request: FastifyRequest): Promise<{ detail: string }> {
    const { id } = await this.find(request);
    const order = { ...this.one(request, id), reason: null };
    const { count } = await this.caller.send(request, subjects.cancelBatch, order);
    return { detail: `Cancel signal issued to ${count} job(s)` };
  }

  @Route('POST', '/api/v1/job-batches/:id/force-complete', {
    policy: 'runs:override',
    summary: 'Says what its unfinished jobs came to; those that run are stopped',
    body: batchForceBody,
    answer: detail,
  })
  async forceComplete(@Req() request: FastifyRequest): Promise<{ detail: string }> {
    const { status } = bodyOf(batchForceBody, request);
    const { id } = await this.find(request);
    const order = { ...this.one(request, id), status: verdicts[status] };
    const { count } = await this.caller.send(request, subjects.forceCompleteBatch, order);
    return { detail: `Force-completed ${count} job(s) as ${status}` };
  }

  @Route('DELETE', '/api/v1/job-batches/:id', {
    policy: 'runs:override',
    summary: 'Removes a batch and purges its jobs, once all of them are finished',
    answer: detail,
    refuses: ['rejected'],
  })
  async remove(@Req() request: FastifyRequest): Promise<{ detail: string }> {
    const { id } = await this.find(request);
    const { count } = await this.caller.send(request, subjects.deleteBatch, this.one(request, id));
    return { detail: `Batch deleted with ${count} job(s)` };
  }

  private withJobs(request: FastifyRequest, card: BatchCard): StreamableFile {
    const page = (cursor: string | undefined, limit: number) =>
      this.caller.see(request, subjects.listRuns, {
        ...{ batch: card.id, oldestFirst: true, limit },
        ...(cursor ? { cursor } : {}),
      });
    return batchWith(card, everything(page));
  }

  private find(request: FastifyRequest): Promise<BatchCard> {
    return findBatch(this.caller, request, paramOf(request), this.mine(request));
  }

  /** Everyone sees his own only, admins all. */
  private mine(request: FastifyRequest): { owner?: string } {
    const { id, role } = sessionOf(request).user;
    return role === 'admin' ? {} : { owner: id };
  }

  private one(request: FastifyRequest, id: string): OnOne {
    return { id, any: hasRight(request, 'any:write') };
  }
}

function batchWith(card: BatchCard, jobs: AsyncIterable<RunRow> | Iterable<RunRow>): StreamableFile {
  const before = `${JSON.stringify(batchShape(card)).slice(0, -1)},"jobs":[`;
  return streamed(jsonArray(jobs, jobShape, before, ']}'));
}

const streamed = (pieces: AsyncIterable<string>) =>
  new StreamableFile(Readable.from(pieces), { type: 'application/json; charset=utf-8' });
