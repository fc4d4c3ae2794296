import { Injectable } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { subjects, type Taken } from '#bus';
import { newId, Refusal } from '#domain';
import { Context } from '#service';

const seconds = 60;

/** Requests a minute, counted once for all gateways. */
@Injectable()
export class RateLimiter {
  constructor(private readonly context: Context) {}

  /** Login attempts by address and by name, good and bad ones alike; one bucket for every login endpoint. */
  async login(request: FastifyRequest, name: string): Promise<void> {
    const { RUNLEDGER_RATE_LIMITS: on, RUNLEDGER_RATE_AUTH_PER_MINUTE: most } = this.context.config;
    if (!on) return;
    // One after the other: an address that is over its limit does not use up the name's.
    for (const key of [`login from ${request.ip}`, `login as ${name.trim().toLowerCase()}`]) {
      const taken = await this.take(key);
      if (taken.count > most) throw tooMany('TOO_MANY_LOGINS', 'Too many login attempts', taken);
    }
  }

  /** Whatever a user, or an address without one, does on surfaces that say so on each of their answers. */
  async general(request: FastifyRequest, reply: FastifyReply, user: string | null): Promise<void> {
    const { RUNLEDGER_RATE_LIMITS: on, RUNLEDGER_RATE_PER_MINUTE: most } = this.context.config;
    if (!on) return;
    const taken = await this.take(user === null ? `requests from ${request.ip}` : `requests of ${user}`);
    const { count, resetInSeconds } = taken;
    void reply.headers({
      'x-ratelimit-limit': most,
      'x-ratelimit-remaining': Math.max(0, most - count),
      'x-ratelimit-reset': Math.floor(Date.now() / 1_000) + resetInSeconds,
    });
    if (count > most) throw tooMany('TOO_MANY_REQUESTS', 'Too many requests', taken);
  }

  private take(key: string): Promise<Taken> {
    return this.context.bus.send(subjects.takeRate, { key, seconds }, { actor: 'system', correlationId: newId() });
  }
}

function tooMany(code: string, what: string, { resetInSeconds }: Taken): Refusal {
  const retryAfterSeconds = resetInSeconds;
  return new Refusal('limited', code, `${what}; try again in ${retryAfterSeconds} s`, { retryAfterSeconds });
}
