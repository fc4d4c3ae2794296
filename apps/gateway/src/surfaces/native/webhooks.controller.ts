import { randomBytes } from 'node:crypto';
import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { type z } from 'zod';
import { subjects, type DeliveryCard } from '#bus';
import { type WebhookEvent } from '#domain';
import { Caller, hasRight, idFor, sessionOf } from '../../caller.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { listOf } from './native.shapes.js';
import {
  createdWebhook,
  nativeDelivery,
  nativeWebhook,
  nativeWebhookShape,
  newWebhookShape,
  replayBody,
  webhookBody,
  webhooksQuery,
} from './webhooks.shapes.js';

type Shape = z.infer<typeof nativeWebhook>;
const place = 'webhook';

@Controller()
export class NativeWebhookController {
  constructor(private readonly caller: Caller) {}

  @Route('POST', '/api/v1/webhooks', {
    policy: 'webhooks:manage',
    summary: 'Subscribes an address to events; `secret`, which signs them, is shown this once',
    status: 201,
    body: webhookBody,
    answer: createdWebhook,
    refuses: ['rejected'],
  })
  async create(@Req() request: FastifyRequest): Promise<z.infer<typeof createdWebhook>> {
    const settings = bodyOf(webhookBody, request);
    const secret = this.caller.sealOne(place, randomBytes(32).toString('base64url'));
    const order = { id: idFor(request, 'webhook'), ...settings, secret };
    const { stream, events } = await this.caller.send(request, subjects.createWebhook, order);
    const created = events[0] as WebhookEvent & { type: 'WebhookCreated' };
    const shape = newWebhookShape(stream.slice('webhook-'.length), created);
    return { ...shape, secret: await this.caller.openOne(place, created.data.secret) };
  }

  @Route('GET', '/api/v1/webhooks', {
    policy: 'webhooks:manage',
    summary: 'My webhooks, newest first; all of them for an admin',
    query: webhooksQuery,
    answer: listOf(nativeWebhook),
  })
  async list(@Req() request: FastifyRequest): Promise<{ items: Shape[]; next: string | null }> {
    const mine = hasRight(request, 'any:write') ? {} : { owner: sessionOf(request).user.id };
    const asked = { ...queryOf(webhooksQuery, request), ...mine };
    const { items, next } = await this.caller.send(request, subjects.listWebhooks, asked);
    return { items: items.map(nativeWebhookShape), next };
  }

  @Route('DELETE', '/api/v1/webhooks/:id', {
    policy: 'webhooks:manage',
    summary: 'Ends a subscription; its secret is destroyed',
    status: 204,
  })
  async delete(@Req() request: FastifyRequest): Promise<void> {
    await this.caller.send(request, subjects.deleteWebhook, this.one(request));
  }

  @Route('GET', '/api/v1/webhooks/:id/deliveries', {
    policy: 'webhooks:manage',
    summary: 'What became of the newest 1,000 deliveries, newest first',
    query: webhooksQuery,
    answer: listOf(nativeDelivery),
  })
  async deliveries(@Req() request: FastifyRequest): Promise<{ items: DeliveryCard[]; next: string | null }> {
    const asked = { ...queryOf(webhooksQuery, request), ...this.one(request) };
    return this.caller.send(request, subjects.listDeliveries, asked);
  }

  @Route('POST', '/api/v1/webhooks/:id/replay', {
    policy: 'webhooks:manage',
    summary: 'Delivers everything from a position on again; a disabled webhook is enabled by it',
    status: 202,
    body: replayBody,
    answer: nativeWebhook,
  })
  async replay(@Req() request: FastifyRequest): Promise<Shape> {
    const order = { ...this.one(request), ...bodyOf(replayBody, request) };
    return nativeWebhookShape(await this.caller.send(request, subjects.replayWebhook, order));
  }

  private one(request: FastifyRequest): { id: string; any: boolean } {
    return { id: paramOf(request), any: hasRight(request, 'any:write') };
  }
}
