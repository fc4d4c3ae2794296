import { Controller, Req, Res } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects } from '#bus';
import { Context } from '#service';
import { Caller } from '../../caller.js';
import { cookieNames, setSession } from '../../credentials.js';
import { bodyOf } from '../../parse.js';
import { RateLimiter } from '../../rate-limiter.js';
import { Route } from '../../route.js';
import { signInBody } from './tasks.shapes.js';

const thirtyDays = 30 * 24 * 60;
const signedIn = z.object({ user: z.object({ id: z.string(), email: z.string(), name: z.string() }) });

/** Sessions as the task scheduler's document has them: a cookie for thirty days. */
@Controller()
export class TasksAccessController {
  constructor(
    private readonly caller: Caller,
    private readonly limiter: RateLimiter,
    private readonly context: Context,
  ) {}

  @Route('POST', '/api/auth/signin', {
    policy: 'public',
    summary: 'Signs in by e-mail or name for thirty days: sets the cookie',
    body: signInBody,
    answer: signedIn,
    refuses: ['unauthenticated', 'limited'],
  })
  async signIn(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<z.infer<typeof signedIn>> {
    const { email, username, password } = bodyOf(signInBody, request);
    const login = email ?? username!;
    await this.limiter.login(request, login);
    const order = { login, password, minutes: thirtyDays };
    const { token, expiresAt, user } = await this.caller.send(request, subjects.signIn, order);
    setSession(request, reply, cookieNames[1], { token, expiresAt, secure: this.context.config.production });
    return { user: { id: user.id, email: user.email, name: user.username } };
  }

  @Route('POST', '/api/auth/signout', {
    policy: 'public',
    summary: 'Ends the session, and its token with it',
    answer: z.object({ success: z.literal(true) }),
  })
  async signOut(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<{ success: true }> {
    const { session } = request;
    if (session) await this.caller.send(request, subjects.signOut, { session: session.id });
    for (const name of cookieNames) void reply.clearCookie(name, { path: '/' });
    return { success: true };
  }
}
