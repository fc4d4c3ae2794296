import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { type z } from 'zod';
import { subjects } from '#bus';
import { Caller, idFor, ownerFilter } from '../../caller.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { cardOf, checkAction, findBatch } from '../../rows.js';
import { batchBody, nativeBatch, nativeBatchShape } from './batches.shapes.js';
import { oneQuery } from './native.shapes.js';

type Shape = z.infer<typeof nativeBatch>;
const largest = 16 * 1_048_576;

@Controller()
export class NativeBatchController {
  constructor(private readonly caller: Caller) {}

  @Route('POST', '/api/v1/batches', {
    policy: 'runs:request',
    summary: 'Runs up to 10,000 things, all or none',
    status: 202,
    body: batchBody,
    bodyLimit: largest,
    answer: nativeBatch,
    refuses: ['forbidden'],
  })
  async create(@Req() request: FastifyRequest): Promise<Shape> {
    const { name = 'batch', runs: asked } = bodyOf(batchBody, request);
    const runs = asked.map(({ name: own, action, policies }) => {
      checkAction(request, action);
      const rest = { payload: null, parameters: null, scheduledFor: null, retryOf: null, process: null };
      return { name: own ?? action.kind, ...this.caller.seal(action), policies, ...rest };
    });
    const order = { id: idFor(request, 'batch'), name, description: null, runs };
    const made = await this.caller.send(request, subjects.createBatch, order);
    return nativeBatchShape(cardOf(made) ?? (await findBatch(this.caller, request, order.id, {})));
  }

  @Route('GET', '/api/v1/batches/:id', {
    policy: 'runs:read',
    summary: 'One batch: how many of its runs are in each status',
    query: oneQuery,
    answer: nativeBatch,
  })
  async get(@Req() request: FastifyRequest): Promise<Shape> {
    const { after } = queryOf(oneQuery, request);
    return nativeBatchShape(await findBatch(this.caller, request, paramOf(request), ownerFilter(request), after));
  }
}
