import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type Committed } from '#bus';
import { type ProcessChange, type ProcessEvent } from '#domain';
import { Caller, hasRight, idFor, ownerFilter } from '../../caller.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { checkAction, findProcess, rowOf } from '../../rows.js';
import {
  disableBody,
  emptyBody,
  listOf,
  nativeProcess,
  nativeProcessShape,
  nativeRevision,
  nativeRevisionShape,
  nativeRun,
  nativeRunShape,
  oneQuery,
  processBody,
  processChange,
  processesQuery,
  runProcessBody,
} from './native.shapes.js';

type Shape = z.infer<typeof nativeProcess>;

@Controller()
export class NativeProcessController {
  constructor(private readonly caller: Caller) {}

  @Route('POST', '/api/v1/processes', {
    policy: 'processes:write',
    summary: 'Defines a process',
    status: 201,
    body: processBody,
    answer: nativeProcess,
  })
  async define(@Req() request: FastifyRequest): Promise<Shape> {
    const body = bodyOf(processBody, request);
    checkAction(request, body.action);
    const order = { id: idFor(request, 'process'), ...body, ...this.caller.seal(body.action) };
    return this.shown(request, await this.caller.send(request, subjects.defineProcess, order));
  }

  @Route('GET', '/api/v1/processes', {
    policy: 'processes:read',
    summary: 'Processes, newest first',
    query: processesQuery,
    answer: listOf(nativeProcess),
  })
  async list(@Req() request: FastifyRequest): Promise<{ items: Shape[]; next: string | null }> {
    const filter = { ...queryOf(processesQuery, request), ...ownerFilter(request), order: 'newest' as const };
    const { items, next } = await this.caller.see(request, subjects.listProcesses, filter);
    return { items: items.map(nativeProcessShape), next };
  }

  @Route('GET', '/api/v1/processes/:id', {
    policy: 'processes:read',
    summary: 'One process',
    query: oneQuery,
    answer: nativeProcess,
  })
  async get(@Req() request: FastifyRequest): Promise<Shape> {
    const { after } = queryOf(oneQuery, request);
    return nativeProcessShape(await findProcess(this.caller, request, paramOf(request), after));
  }

  @Route('GET', '/api/v1/processes/:id/revisions', {
    policy: 'processes:read',
    summary: 'Every revision, oldest first, with who and when',
    query: oneQuery,
    answer: listOf(nativeRevision),
  })
  async revisions(@Req() request: FastifyRequest): Promise<{ items: z.infer<typeof nativeRevision>[]; next: null }> {
    const { after } = queryOf(oneQuery, request);
    const { id } = await findProcess(this.caller, request, paramOf(request), after);
    const filter = { after: '0', limit: 1_000, stream: `process-${id}` };
    const { items } = await this.caller.send(request, subjects.listEvents, filter);
    return { items: (items as unknown as ProcessEvent[]).flatMap(nativeRevisionShape), next: null };
  }

  @Route('PATCH', '/api/v1/processes/:id', {
    policy: 'processes:write',
    summary: 'Revises a process; `revision` must be the current one',
    body: processChange,
    answer: nativeProcess,
  })
  async revise(@Req() request: FastifyRequest): Promise<Shape> {
    const { revision, action, ...rest } = bodyOf(processChange, request);
    if (action) checkAction(request, action);
    const { secrets, ...sealed } = action ? this.caller.sealChange(action) : { secrets: [] };
    const change = JSON.parse(JSON.stringify({ ...rest, ...sealed })) as ProcessChange;
    const order = { ...this.one(request), revision, change, secrets };
    return this.shown(request, await this.caller.send(request, subjects.reviseProcess, order));
  }

  @Route('POST', '/api/v1/processes/:id/enable', {
    policy: 'processes:write',
    summary: 'Lets its triggers fire again',
    body: emptyBody,
    answer: nativeProcess,
  })
  async enable(@Req() request: FastifyRequest): Promise<Shape> {
    bodyOf(emptyBody, request);
    return this.shown(request, await this.caller.send(request, subjects.enableProcess, this.one(request)));
  }

  @Route('POST', '/api/v1/processes/:id/disable', {
    policy: 'processes:write',
    summary: 'Keeps its triggers from firing, until an instant or until it is enabled',
    body: disableBody,
    answer: nativeProcess,
  })
  async disable(@Req() request: FastifyRequest): Promise<Shape> {
    const body = bodyOf(disableBody, request);
    return this.shown(
      request,
      await this.caller.send(request, subjects.disableProcess, { ...this.one(request), ...body }),
    );
  }

  @Route('POST', '/api/v1/processes/:id/run', {
    policy: 'runs:request',
    summary: 'Requests a run, now',
    status: 202,
    body: runProcessBody,
    answer: nativeRun,
  })
  async run(@Req() request: FastifyRequest): Promise<z.infer<typeof nativeRun>> {
    const { parameters = null } = bodyOf(runProcessBody, request);
    const order = { ...this.one(request), run: idFor(request, 'run'), parameters };
    return nativeRunShape(rowOf(await this.caller.send(request, subjects.runProcess, order)));
  }

  @Route('DELETE', '/api/v1/processes/:id', {
    policy: 'processes:write',
    summary: 'Retires a process; its history stays',
    status: 204,
  })
  async retire(@Req() request: FastifyRequest): Promise<void> {
    await this.caller.send(request, subjects.retireProcess, this.one(request));
  }

  private one(request: FastifyRequest): { id: string; any: boolean } {
    return { id: paramOf(request), any: hasRight(request, 'any:write') };
  }

  /** The process as the view shows it once it has passed the order. */
  private async shown(request: FastifyRequest, { stream, position }: Committed<ProcessEvent>): Promise<Shape> {
    const process = await findProcess(this.caller, request, stream.slice('process-'.length), position);
    if (position !== '0') request.ledgerPosition = position;
    return nativeProcessShape(process);
  }
}
