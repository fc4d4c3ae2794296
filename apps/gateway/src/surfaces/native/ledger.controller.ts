import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type EventMessage } from '#bus';
import { rights, rightsOf, roles } from '#domain';
import { Caller, sessionOf } from '../../caller.js';
import { bodyOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { eventsQuery, listOf, nativeEvent, passwordBody, verifyQuery } from './native.shapes.js';

const verification = z.object({
  ok: z.boolean(),
  checked: z.string(),
  firstBad: z.object({ position: z.string(), problem: z.string(), text: z.string() }).optional(),
  head: z.object({ position: z.string(), hash: z.string() }),
});
const me = z.object({
  id: z.string(),
  username: z.string(),
  email: z.string(),
  role: z.enum(roles),
  rights: z.array(z.enum(rights)),
  expiresAt: z.iso.datetime(),
});

@Controller()
export class NativeLedgerController {
  constructor(private readonly caller: Caller) {}

  @Route('GET', '/api/v1/events', {
    policy: 'events:read',
    summary: 'The ledger from a position (exclusive), oldest first',
    query: eventsQuery,
    answer: listOf(nativeEvent),
  })
  async events(@Req() request: FastifyRequest): Promise<{ items: EventMessage[]; next: string | null }> {
    const { cursor, after, ...rest } = queryOf(eventsQuery, request);
    const filter = { ...rest, after: cursor ?? after };
    const { items, scanned, head } = await this.caller.send(request, subjects.listEvents, filter);
    request.ledgerPosition = head;
    return { items, next: BigInt(scanned) < BigInt(head) && scanned !== filter.after ? scanned : null };
  }

  @Route('GET', '/api/v1/verify', {
    policy: 'ledger:verify',
    summary: 'Recomputes digests and chain; names the first bad position',
    query: verifyQuery,
    answer: verification,
  })
  verify(@Req() request: FastifyRequest): Promise<z.infer<typeof verification>> {
    return this.caller.send(request, subjects.verifyLedger, queryOf(verifyQuery, request));
  }

  @Route('GET', '/api/v1/me', { policy: 'session', summary: 'Who am I, and what may I do', answer: me })
  me(@Req() request: FastifyRequest): z.infer<typeof me> {
    const { user, expiresAt } = sessionOf(request);
    const { id, username, email, role } = user;
    return { id, username, email, role, rights: [...rightsOf[role]], expiresAt };
  }

  @Route('POST', '/api/v1/me/password', {
    policy: 'session',
    summary: 'Changes my password; my other sessions end, the file with the first password goes',
    status: 204,
    body: passwordBody,
    refuses: ['rejected', 'limited'],
  })
  async password(@Req() request: FastifyRequest): Promise<void> {
    const { current, new: next } = bodyOf(passwordBody, request);
    await this.caller.send(request, subjects.replacePassword, { current, next, session: sessionOf(request).id });
  }
}
