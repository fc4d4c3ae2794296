import { Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { ExtractJwt, Strategy, type JwtFromRequestFunction, type StrategyOptionsWithoutRequest } from 'passport-jwt';
import { subjects, type Session } from '#bus';
import { newId, Refusal } from '#domain';
import { Context } from '#service';

/** The cookies that the documents name; each holds the session's token. */
export const cookieNames = ['connect.sid', 'next-auth.session-token'] as const;

/** Shaped as our tokens are: `connect.sid` is also what any Express application on the same host calls its cookie. */
const isToken = (value: string | undefined) => value !== undefined && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(value);

export const cookieToken = (request: { cookies?: Record<string, string | undefined> }): string | null =>
  cookieNames.map((name) => request.cookies?.[name]).find(isToken) ?? null;

/** The session's cookie under the name of one document; who signed in by another before is that no more. */
export function setSession(
  request: FastifyRequest,
  reply: FastifyReply,
  name: (typeof cookieNames)[number],
  { token, expiresAt, secure }: { token: string; expiresAt: string; secure: boolean },
): void {
  const others = cookieNames.filter((other) => other !== name && isToken(request.cookies[other]));
  for (const other of others) void reply.clearCookie(other, { path: '/' });
  void reply.setCookie(name, token, {
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    secure: secure || request.protocol === 'https',
    expires: new Date(expiresAt),
  });
}

export const bearerToken = ExtractJwt.fromAuthHeaderAsBearerToken() as unknown as (
  request: FastifyRequest,
) => string | null;

interface Claims {
  sub?: unknown;
  sid?: unknown;
}

const anew = () => ({ actor: 'system', correlationId: newId() });
const refetchAfter = 5_000;

/** The public halves of auth's keys, fetched when an unknown one is named, at most every five seconds. */
@Injectable()
export class PublicKeys {
  private keys = new Map<string, string>();
  private fetchedAt = -Infinity;

  constructor(private readonly context: Context) {}

  async find(kid: string): Promise<string | undefined> {
    if (!this.keys.has(kid) && performance.now() - this.fetchedAt > refetchAfter) {
      const keys = await this.context.bus.send(subjects.publicKeys, {}, anew());
      this.fetchedAt = performance.now();
      this.keys = new Map(keys.map((key) => [key.kid, key.pem]));
    }
    return this.keys.get(kid);
  }
}

function options(keys: PublicKeys, jwtFromRequest: JwtFromRequestFunction): StrategyOptionsWithoutRequest {
  return {
    jwtFromRequest,
    algorithms: ['ES256'],
    issuer: 'runledger',
    audience: 'runledger',
    secretOrKeyProvider: (_request: unknown, token: string, done: (error: unknown, key?: string) => void) => {
      const unknown = new Refusal('unauthenticated', 'BAD_TOKEN', 'The token is signed with an unknown key');
      const kid = kidOf(token);
      if (kid === null) return done(unknown);
      keys.find(kid).then(
        (pem) => (pem ? done(null, pem) : done(unknown)),
        (error: unknown) => done(error),
      );
    },
  };
}

function kidOf(token: string): string | null {
  try {
    const { kid } = JSON.parse(Buffer.from(token.split('.', 1)[0]!, 'base64url').toString()) as { kid?: unknown };
    return typeof kid === 'string' ? kid : null;
  } catch {
    return null;
  }
}

/** A signature says who; auth says whether the session still stands. */
async function sessionOf({ bus }: Context, { sid, sub }: Claims): Promise<Session | false> {
  if (typeof sid !== 'string' || typeof sub !== 'string') return false;
  return (await bus.send(subjects.verifySession, { session: sid, user: sub }, anew())) ?? false;
}

@Injectable()
export class BearerStrategy extends PassportStrategy(Strategy, 'bearer') {
  constructor(
    keys: PublicKeys,
    private readonly context: Context,
  ) {
    super(options(keys, bearerToken as unknown as JwtFromRequestFunction));
  }

  validate(claims: Claims): Promise<Session | false> {
    return sessionOf(this.context, claims);
  }
}

@Injectable()
export class CookieStrategy extends PassportStrategy(Strategy, 'cookie') {
  constructor(
    keys: PublicKeys,
    private readonly context: Context,
  ) {
    super(options(keys, cookieToken as unknown as JwtFromRequestFunction));
  }

  validate(claims: Claims): Promise<Session | false> {
    return sessionOf(this.context, claims);
  }
}
