import { Readable } from 'node:stream';
import { Controller, Req, StreamableFile } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type Page, type ProcessListed } from '#bus';
import { Refusal, type RunRow } from '#domain';
import { Caller, maySee, ownerFilter } from '../../caller.js';
import { everything, jsonArray } from '../../paging.js';
import { paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { processesQuery, processShape, runShape, runsQuery, viewerProcess, viewerRun } from './viewer.shapes.js';

const json = { type: 'application/json; charset=utf-8' };
const largestNumber = 2_147_483_647;
const noSuchProcess = () => new Refusal('not-found', 'PROCESS_NOT_FOUND', 'Process not found');

@Controller()
export class ViewerController {
  constructor(private readonly caller: Caller) {}

  @Route('GET', '/api/processes', {
    policy: 'processes:read',
    summary: 'Every process, or those whose name or description holds `q`',
    query: processesQuery,
    answer: z.array(viewerProcess),
  })
  processes(@Req() request: FastifyRequest): StreamableFile {
    const { q } = queryOf(processesQuery, request);
    const filter = { order: 'number' as const, ...(q ? { q } : {}), ...ownerFilter(request) };
    const page = (cursor: string | undefined, limit: number): Promise<Page<ProcessListed>> =>
      this.caller.see(request, subjects.listProcesses, { ...filter, limit, ...(cursor ? { cursor } : {}) });
    return new StreamableFile(Readable.from(jsonArray(everything(page), processShape)), json);
  }

  @Route('GET', '/api/processes/:id/runs', {
    policy: 'runs:read',
    summary: 'The runs of a process that have started, newest first: all of them unless cut',
    query: runsQuery,
    answer: z.array(viewerRun),
  })
  async runs(@Req() request: FastifyRequest): Promise<StreamableFile> {
    const { limit, before } = queryOf(runsQuery, request);
    const process = await this.find(request);
    const rows = this.history(request, process, await this.startOf(request, before), limit ?? Infinity);
    return new StreamableFile(Readable.from(jsonArray(rows, (run) => runShape(run, process.description ?? ''))), json);
  }

  private async *history(
    request: FastifyRequest,
    { number }: ProcessListed,
    from: string | undefined,
    limit: number,
  ): AsyncGenerator<RunRow> {
    let left = limit;
    const page = (cursor: string | undefined, size: number) => {
      const start = cursor ?? from;
      const filter = { processNumber: number, started: true, limit: size, ...(start ? { cursor: start } : {}) };
      return this.caller.see(request, subjects.listRuns, filter);
    };
    for await (const run of everything(page)) {
      if (left-- <= 0) return;
      yield run;
    }
  }

  /** `before` names a run; the list goes on after it. One that there is not cuts nothing. */
  private async startOf(request: FastifyRequest, before: number | undefined): Promise<string | undefined> {
    if (before === undefined || before > largestNumber) return undefined;
    const run = await this.caller.see(request, subjects.getRunByNumber, { number: before });
    return run?.startedAt ? `${run.startedAt}_${run.number}` : undefined;
  }

  /** Retired processes are not listed, but their runs stay readable. */
  private async find(request: FastifyRequest): Promise<ProcessListed> {
    const id = paramOf(request);
    if (!/^\d{1,9}$/.test(id)) throw noSuchProcess();
    const process = await this.caller.find(request, subjects.getProcess, { number: Number(id) });
    if (!process || !maySee(request, process)) throw noSuchProcess();
    return process;
  }
}
