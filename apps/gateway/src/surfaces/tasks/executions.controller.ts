import { Readable } from 'node:stream';
import { Controller, Req, StreamableFile } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects } from '#bus';
import { type RunRow } from '#domain';
import { Caller, idFor } from '../../caller.js';
import { everything, jsonArray } from '../../paging.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { findTask, onTask } from './find-task.js';
import { executeBody, execution, executionShape, executionsQuery } from './tasks.shapes.js';

const begun = z.object({ execution_id: z.string(), status: z.literal('started') });
const triggered = begun.extend({ executionId: z.string(), taskId: z.string() });

/** A task's executions are the runs of its process. */
@Controller()
export class TaskExecutionsController {
  constructor(private readonly caller: Caller) {}

  @Route('POST', '/api/tasks/:id/trigger', {
    policy: 'commands:run',
    summary: 'Runs a task, now, enabled or not',
    answer: triggered,
  })
  async trigger(@Req() request: FastifyRequest): Promise<z.infer<typeof triggered>> {
    const taskId = paramOf(request);
    const executionId = await this.run(request, taskId);
    return { execution_id: executionId, executionId, taskId, status: 'started' };
  }

  @Route('POST', '/execute-task', {
    policy: 'commands:run',
    summary: 'Runs a task, now, and answers at once',
    body: executeBody,
    answer: begun,
    refuses: ['not-found'],
  })
  async execute(@Req() request: FastifyRequest): Promise<z.infer<typeof begun>> {
    const { task_id: id } = bodyOf(executeBody, request);
    return { execution_id: await this.run(request, id), status: 'started' };
  }

  @Route('GET', '/api/tasks/:id/executions', {
    policy: 'runs:read',
    summary: 'The executions of a task, newest first: all of them unless cut',
    query: executionsQuery,
    answer: z.object({ executions: z.array(execution) }),
  })
  async executions(@Req() request: FastifyRequest): Promise<StreamableFile> {
    const { limit = Infinity } = queryOf(executionsQuery, request);
    const { id: process } = await findTask(this.caller, request, paramOf(request));
    const pieces = jsonArray(this.runs(request, process, limit), executionShape, '{"executions":[', ']}');
    return new StreamableFile(Readable.from(pieces), { type: 'application/json; charset=utf-8' });
  }

  private async *runs(request: FastifyRequest, process: string, most: number): AsyncGenerator<RunRow> {
    let left = most;
    // Whoever asks because a socket has told of an end finds it ended.
    const filter = { process, after: this.caller.heard };
    const page = (cursor: string | undefined, limit: number) =>
      this.caller.see(request, subjects.listRuns, { ...filter, limit, ...(cursor ? { cursor } : {}) });
    for await (const run of everything(page)) {
      if (left-- <= 0) return;
      yield run;
    }
  }

  private async run(request: FastifyRequest, id: string): Promise<string> {
    const task = await findTask(this.caller, request, id);
    const order = { ...onTask(request, task), run: idFor(request, 'run'), parameters: null };
    const { stream } = await this.caller.send(request, subjects.runProcess, order);
    return stream.slice('run-'.length);
  }
}
