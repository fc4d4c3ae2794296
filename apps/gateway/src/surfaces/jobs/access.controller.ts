import { Controller, Req, Res } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects } from '#bus';
import { Refusal } from '#domain';
import { Context } from '#service';
import { Caller } from '../../caller.js';
import { RateLimiter } from '../../rate-limiter.js';
import { bodyOf } from '../../parse.js';
import { Route } from '../../route.js';
import { tokenForm } from './jobs.shapes.js';

const token = z.object({ access_token: z.string(), token_type: z.literal('bearer') });
const state = z.enum(['ok', 'error']);
const health = z.object({ status: z.enum(['ok', 'degraded']), redis: state, database: state });

@Controller()
export class JobsAccessController {
  constructor(
    private readonly caller: Caller,
    private readonly limiter: RateLimiter,
    private readonly context: Context,
  ) {}

  @Route('POST', '/api/v1/auth/token', {
    policy: 'public',
    summary: 'A token by the OAuth2 password form',
    accepts: ['form', 'json'],
    body: tokenForm,
    answer: token,
    refuses: ['unauthenticated', 'limited'],
  })
  async token(@Req() request: FastifyRequest): Promise<z.infer<typeof token>> {
    if (!request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
      throw new Refusal('malformed', 'FORM_WANTED', 'Send a form: username=...&password=...');
    }
    const { username, password } = bodyOf(tokenForm, request);
    await this.limiter.login(request, username);
    const signedIn = await this.caller.send(request, subjects.signIn, { login: username, password });
    return { access_token: signedIn.token, token_type: 'bearer' };
  }

  /** `redis` reports the message bus: the document's clients read that name. */
  @Route('GET', '/api/v1/health', {
    policy: 'public',
    summary: 'Readiness: 503 when something is away',
    answer: health,
    also: { 503: health },
  })
  async health(@Res({ passthrough: true }) reply: FastifyReply): Promise<z.infer<typeof health>> {
    const { bus, pool } = this.context;
    const database = await pool.query('select 1').then(
      () => true,
      () => false,
    );
    const answering = bus.stats().connected && (await this.servicesAnswer());
    const good = database && answering;
    void reply.status(good ? 200 : 503);
    return { status: good ? 'ok' : 'degraded', redis: answering ? 'ok' : 'error', database: database ? 'ok' : 'error' };
  }

  /** A bus with nobody on it is no bus: auth and history have to answer. */
  private async servicesAnswer(): Promise<boolean> {
    const meta = { actor: 'system', correlationId: 'health' };
    const asked = [
      this.context.bus.send(subjects.publicKeys, {}, meta),
      this.context.bus.send(subjects.getRunByNumber, { number: 0 }, meta),
    ];
    return (await Promise.allSettled(asked)).every(({ status }) => status === 'fulfilled');
  }
}
