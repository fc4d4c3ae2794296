import { Controller, Req, Res } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type SignedIn } from '#bus';
import { Refusal, roles } from '#domain';
import { Context } from '#service';
import { cookieNames, setSession } from '../credentials.js';
import { Caller } from '../caller.js';
import { RateLimiter } from '../rate-limiter.js';
import { bodyOf } from '../parse.js';
import { Route } from '../route.js';

const login = z.object({ username: z.string().min(1).max(256), password: z.string().min(1).max(4_096) });
const user = z.object({
  id: z.int(),
  username: z.string(),
  email: z.string(),
  role: z.enum(roles),
  created_at: z.iso.datetime(),
});
const health = z.object({
  status: z.enum(['healthy', 'degraded']),
  services: z.object({
    database: z.enum(['connected', 'disconnected']),
    scheduler: z.enum(['running', 'stopped']),
    claude_code: z.enum(['available', 'unavailable']),
  }),
});
const loggedIn = z.object({ message: z.string(), access_token: z.string(), token_type: z.literal('bearer'), user });

/** What several documents claim: one session behind cookie and token. */
@Controller()
export class SharedController {
  constructor(
    private readonly caller: Caller,
    private readonly limiter: RateLimiter,
    private readonly context: Context,
  ) {}

  @Route('POST', '/api/auth/login', {
    policy: 'public',
    summary: 'Signs in by name or e-mail: sets the cookie and answers the token',
    accepts: ['json', 'form'],
    body: login,
    answer: loggedIn,
    refuses: ['unauthenticated', 'limited'],
  })
  async login(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<z.infer<typeof loggedIn>> {
    const { username, password } = bodyOf(login, request);
    await this.limiter.login(request, username);
    const { token, expiresAt, user } = await this.caller.send(request, subjects.signIn, { login: username, password });
    setSession(request, reply, cookieNames[0], { token, expiresAt, secure: this.context.config.production });
    return { message: 'Login successful', access_token: token, token_type: 'bearer', user: cardShape(user) };
  }

  @Route('GET', '/api/auth/me', {
    policy: 'public',
    summary: 'Who is signed in',
    answer: z.object({ username: z.string() }),
    refuses: ['unauthenticated'],
  })
  me(@Req() { session }: FastifyRequest): { username: string } {
    if (!session) throw new Refusal('unauthenticated', 'NOT_LOGGED_IN', 'Not logged in');
    return { username: session.user.username };
  }

  @Route('POST', '/api/auth/logout', {
    policy: 'public',
    summary: 'Ends the session, and its token with it',
    accepts: ['json', 'form'],
    answer: z.object({ message: z.string() }),
  })
  async logout(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<{ message: string }> {
    const { session } = request;
    if (session) await this.caller.send(request, subjects.signOut, { session: session.id });
    for (const name of cookieNames) void reply.clearCookie(name, { path: '/' });
    return { message: 'Logged out' };
  }

  @Route('GET', '/health', {
    policy: 'public',
    summary: 'How the services are: 503 when something is away',
    answer: health,
    also: { 503: health },
  })
  async health(@Res({ passthrough: true }) reply: FastifyReply): Promise<z.infer<typeof health>> {
    const { bus, pool } = this.context;
    const meta = { actor: 'system', correlationId: 'health' };
    const [database, scheduler, claude] = await Promise.all([
      isYes(pool.query('select 1').then(() => true)),
      isYes(bus.send(subjects.schedulerRuns, {}, meta)),
      isYes(bus.send(subjects.hasProgram, { name: 'claude' }, meta)),
    ]);
    const good = database && scheduler;
    void reply.status(good ? 200 : 503);
    return {
      status: good ? 'healthy' : 'degraded',
      services: {
        database: database ? 'connected' : 'disconnected',
        scheduler: scheduler ? 'running' : 'stopped',
        claude_code: claude ? 'available' : 'unavailable',
      },
    };
  }
}

const isYes = (asked: Promise<boolean>): Promise<boolean> => asked.catch(() => false);

const cardShape = ({ number, username, email, role, createdAt }: SignedIn['user']) => ({
  id: number,
  username,
  email,
  role,
  created_at: createdAt,
});
