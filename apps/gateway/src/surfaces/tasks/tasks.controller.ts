import { Readable } from 'node:stream';
import { Controller, Req, StreamableFile } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type Committed, type ProcessListed } from '#bus';
import { Refusal, type ProcessEvent } from '#domain';
import { Caller, idFor, ownOnly } from '../../caller.js';
import { everything, jsonArray } from '../../paging.js';
import { bodyOf, paramOf } from '../../parse.js';
import { Route } from '../../route.js';
import { findTask, onTask } from './find-task.js';
import { changeOf, isTask, settingsOf, type TaskProcess, type TaskWords } from './task.js';
import { taskBody, taskChange, taskRead, taskShape, type Task } from './tasks.shapes.js';

const both = taskRead.extend({ task: taskRead });
const json = { type: 'application/json; charset=utf-8' };
const mostTries = 5;

const isStale = (error: unknown) => error instanceof Refusal && error.code === 'REVISION_STALE';
const alsoInside = (task: Task): z.infer<typeof both> => ({ ...task, task });

/** Commands run with the executor's rights: who may run none may define none. */
@Controller()
export class TasksController {
  constructor(private readonly caller: Caller) {}

  @Route('GET', '/api/tasks', {
    policy: 'processes:read',
    summary: "One's own tasks, newest first; admins see all",
    answer: z.object({ tasks: z.array(taskRead) }),
  })
  list(@Req() request: FastifyRequest): StreamableFile {
    const filter = { order: 'newest' as const, kind: 'command', ...ownOnly(request) };
    const page = (cursor: string | undefined, limit: number) =>
      this.caller.see(request, subjects.listProcesses, { ...filter, limit, ...(cursor ? { cursor } : {}) });
    const pieces = jsonArray(tasksAmong(everything(page)), taskShape, '{"tasks":[', ']}');
    return new StreamableFile(Readable.from(pieces), json);
  }

  @Route('POST', '/api/tasks', {
    policy: 'commands:run',
    summary: 'Makes a task',
    status: 201,
    body: taskBody,
    answer: z.object({ task: taskRead }),
  })
  async create(@Req() request: FastifyRequest): Promise<{ task: Task }> {
    const { enabled, ...words } = bodyOf(taskBody, request);
    const order = { id: idFor(request, 'process'), ...settingsOf(words), ...(enabled ? {} : { disabled: true }) };
    return { task: await this.shown(request, await this.caller.send(request, subjects.defineProcess, order)) };
  }

  @Route('GET', '/api/tasks/:id', { policy: 'processes:read', summary: 'One task', answer: both })
  async get(@Req() request: FastifyRequest): Promise<z.infer<typeof both>> {
    return alsoInside(taskShape(await findTask(this.caller, request, paramOf(request))));
  }

  @Route('PUT', '/api/tasks/:id', {
    policy: 'commands:run',
    summary: 'Changes what is named of a task',
    body: taskChange,
    answer: both,
  })
  async put(@Req() request: FastifyRequest): Promise<z.infer<typeof both>> {
    return alsoInside(await this.changed(request));
  }

  @Route('PATCH', '/api/tasks/:id', {
    policy: 'commands:run',
    summary: 'Changes what is named of a task',
    body: taskChange,
    answer: both,
  })
  async patch(@Req() request: FastifyRequest): Promise<z.infer<typeof both>> {
    return alsoInside(await this.changed(request));
  }

  @Route('DELETE', '/api/tasks/:id', {
    policy: 'processes:write',
    summary: 'Deletes a task; its history stays',
    answer: z.object({ success: z.literal(true) }),
  })
  async remove(@Req() request: FastifyRequest): Promise<{ success: true }> {
    const task = await findTask(this.caller, request, paramOf(request));
    await this.caller.send(request, subjects.retireProcess, onTask(request, task));
    return { success: true };
  }

  /** The document knows no revisions: who is overtaken looks again. */
  private async changed(request: FastifyRequest): Promise<Task> {
    const { enabled, ...words } = bodyOf(taskChange, request);
    let before = await findTask(this.caller, request, paramOf(request));
    for (let tries = 1; ; tries++) {
      try {
        return await this.change(request, before, words, enabled);
      } catch (error) {
        if (!isStale(error) || tries === mostTries) throw error;
        before = await findTask(this.caller, request, before.id, await this.caller.head());
      }
    }
  }

  private async change(
    request: FastifyRequest,
    before: TaskProcess,
    words: Partial<TaskWords>,
    enabled: boolean | undefined,
  ): Promise<Task> {
    const change = changeOf(before, words);
    const one = onTask(request, before);
    if (Object.keys(change).length > 0) {
      const order = { ...one, revision: before.revision, change, ...(enabled === undefined ? {} : { enabled }) };
      return this.shown(request, await this.caller.send(request, subjects.reviseProcess, order));
    }
    if (enabled === undefined || enabled === before.enabled) return taskShape(before);
    if (enabled) return this.shown(request, await this.caller.send(request, subjects.enableProcess, one));
    const pause = { ...one, reason: null, until: null };
    return this.shown(request, await this.caller.send(request, subjects.disableProcess, pause));
  }

  /** The task as the view shows it once it has passed the order. */
  private async shown(request: FastifyRequest, { stream, position }: Committed<ProcessEvent>): Promise<Task> {
    return taskShape(await findTask(this.caller, request, stream.slice('process-'.length), position));
  }
}

async function* tasksAmong(rows: AsyncIterable<ProcessListed>): AsyncGenerator<TaskProcess> {
  for await (const row of rows) if (isTask(row)) yield row;
}
