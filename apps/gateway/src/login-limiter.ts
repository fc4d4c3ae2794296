import { Injectable } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { Refusal } from '#domain';
import { Context } from '#service';

const minute = 60_000;
const mostKeys = 20_000;

/** Login attempts a minute by address and by name, good and bad ones alike; one bucket for every login endpoint. */
@Injectable()
export class LoginLimiter {
  private readonly attempts = new Map<string, { count: number; resetAt: number }>();

  constructor(private readonly context: Context) {}

  pass(request: FastifyRequest, name: string): void {
    const { RUNLEDGER_RATE_LIMITS: on, RUNLEDGER_RATE_AUTH_PER_MINUTE: most } = this.context.config;
    if (!on) return;
    const now = performance.now();
    if (this.attempts.size > mostKeys) this.forgetExpired(now);
    for (const key of [`address ${request.ip}`, `name ${name.toLowerCase()}`]) {
      const bucket = this.attempts.get(key);
      const fresh = bucket && bucket.resetAt > now ? bucket : { count: 0, resetAt: now + minute };
      fresh.count++;
      this.attempts.set(key, fresh);
      if (fresh.count <= most) continue;
      const retryAfterSeconds = Math.ceil((fresh.resetAt - now) / 1_000);
      throw new Refusal('limited', 'TOO_MANY_LOGINS', `Too many login attempts; try again in ${retryAfterSeconds} s`, {
        retryAfterSeconds,
      });
    }
  }

  /** Only what has run out: many addresses must not win anybody a fresh start. */
  private forgetExpired(now: number): void {
    for (const [key, { resetAt }] of this.attempts) if (resetAt <= now) this.attempts.delete(key);
  }
}
