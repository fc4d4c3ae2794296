import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { type FastifyRequest } from 'fastify';
import { type Session } from '#bus';
import { may, Refusal } from '#domain';
import { Context } from '#service';
import { bearerToken, cookieToken } from './credentials.js';
import { HttpRefusal } from './refusals.js';
import { routeKey, type RouteEntry } from './route.js';
import { TokenCheck, unauthenticated } from './token-check.js';

declare module 'fastify' {
  interface FastifyRequest {
    session?: Session | undefined;
  }
}

const safe = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Default deny: a handler without a policy is refused, whoever asks. */
@Injectable()
export class PolicyGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly tokens: TokenCheck,
    private readonly context: Context,
  ) {}

  /** At once where the session is known: most requests wait for nobody here. */
  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const route = this.reflector.get<RouteEntry | undefined>(routeKey, context.getHandler());
    if (!route) throw new Refusal('forbidden', 'NO_POLICY', 'This path is not open');
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const bearer = bearerToken(request);
    this.checkOrigin(request, bearer);
    checkContentType(request, route);
    if (route.policy === 'public') return this.recognise(request, bearer);
    const session = this.authenticate(request, bearer);
    if (!(session instanceof Promise)) return admit(request, route, session);
    return session.then((found) => admit(request, route, found));
  }

  /** An open path knows who asks, where a credential came along and is good; it refuses nobody. */
  private async recognise(request: FastifyRequest, bearer: string | null): Promise<true> {
    try {
      if (bearer || cookieToken(request)) request.session = await this.authenticate(request, bearer);
    } catch {
      request.session = undefined;
    }
    return true;
  }

  private authenticate(request: FastifyRequest, bearer: string | null): Session | Promise<Session> {
    const token = bearer ?? cookieToken(request);
    if (!token) throw unauthenticated();
    return this.tokens.check(token, bearer ? 'bearer' : 'cookie');
  }

  /** A page of another origin may change nothing with the cookies of whoever looks at it. */
  private checkOrigin(request: FastifyRequest, bearer: string | null): void {
    if (safe.has(request.method) || bearer) return;
    if (!isForeign(request, this.context.config.RUNLEDGER_ALLOWED_ORIGINS)) return;
    throw new Refusal('forbidden', 'FOREIGN_ORIGIN', 'Requests from another origin are refused');
  }
}

/** With a session that may do what the route is for. */
function admit(request: FastifyRequest, { policy }: RouteEntry, session: Session): true {
  request.session = session;
  const { role } = session.user;
  if (policy === 'session' || policy === 'public' || may(role, policy)) return true;
  const why = policy === 'users:manage' ? 'Admin privilege required' : `Your role (${role}) may not do this`;
  throw new Refusal('forbidden', 'FORBIDDEN', why);
}

/** Neither header: no browser. A sender that names itself must be this very origin, or one that is allowed. */
export function isForeign({ headers }: Pick<FastifyRequest, 'headers'>, allowed: string[]): boolean {
  const { origin, host } = headers;
  if (origin !== undefined && allowed.includes(origin)) return false;
  if (origin !== undefined) return origin !== `http://${host}` && origin !== `https://${host}`;
  const site = headers['sec-fetch-site'];
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

function checkContentType({ headers }: FastifyRequest, { accepts = ['json'] }: RouteEntry): void {
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === undefined) return;
  const kind = type === 'application/x-www-form-urlencoded' ? 'form' : 'json';
  if (!accepts.includes(kind)) {
    throw new HttpRefusal(415, 'UNSUPPORTED_MEDIA_TYPE', `Send ${accepts.includes('form') ? 'a form' : 'JSON'} here`);
  }
}
