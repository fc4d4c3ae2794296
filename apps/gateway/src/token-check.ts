import { Injectable } from '@nestjs/common';
import passport from 'passport';
import { type Session } from '#bus';
import { Refusal } from '#domain';
import { BearerStrategy, cookieNames, CookieStrategy, cookieToken } from './credentials.js';
import { SessionCache } from './session-cache.js';

/** What a passport strategy looks at. */
interface Carrier {
  headers: { authorization?: string };
  cookies: Record<string, string | undefined>;
}

export const unauthenticated = () => new Refusal('unauthenticated', 'UNAUTHENTICATED', 'Unauthorized');

/** From a token to the session that it stands for, the same way for requests and sockets. */
@Injectable()
export class TokenCheck {
  /** The strategies register themselves with passport when they are made. */
  constructor(
    private readonly sessions: SessionCache,
    _bearer: BearerStrategy,
    _cookie: CookieStrategy,
  ) {}

  /** Throws `unauthenticated`; `unavailable` while auth does not answer. */
  check(token: string, by: 'bearer' | 'cookie' = 'bearer'): Session | Promise<Session> {
    return this.sessions.through(token, () => authenticate(by, carrierOf(token, by)));
  }

  fromCookies(header: string | undefined): string | null {
    const pairs = (header ?? '').split(';').map((pair) => pair.trim().split('=', 2) as [string, string?]);
    return cookieToken({ cookies: Object.fromEntries(pairs) as Record<string, string | undefined> });
  }
}

const carrierOf = (token: string, by: 'bearer' | 'cookie'): Carrier =>
  by === 'bearer'
    ? { headers: { authorization: `Bearer ${token}` }, cookies: {} }
    : { headers: {}, cookies: { [cookieNames[0]]: token } };

function authenticate(strategy: 'bearer' | 'cookie', carrier: Carrier): Promise<Session> {
  return new Promise((resolve, reject) => {
    const decided = (error: unknown, session?: Session | false) => {
      if (error) reject(error instanceof Refusal ? error : unauthenticated());
      else if (session) resolve(session);
      else reject(unauthenticated());
    };
    const handler = passport.authenticate(strategy, { session: false }, decided) as (...args: unknown[]) => void;
    handler(carrier, {}, decided);
  });
}
