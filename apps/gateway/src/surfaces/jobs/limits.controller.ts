import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects } from '#bus';
import { Refusal, roles } from '#domain';
import { Caller } from '../../caller.js';
import { bodyOf, paramOf } from '../../parse.js';
import { Route } from '../../route.js';

export const mostJobs = z.int().min(1).max(1_000_000);

const globalBody = z.object({ max_jobs: mostJobs });
const userBody = z.object({ max_jobs: mostJobs.nullable() });
const limits = z
  .object({
    default_limit: z.int(),
    overrides: z.array(
      z
        .object({ id: z.uuid(), email: z.string(), role: z.enum(roles), max_jobs: z.int() })
        .meta({ id: 'LimitOverride' }),
    ),
  })
  .meta({ id: 'Limits' });
type Limits = z.infer<typeof limits>;

/** How many jobs of a user may run at once. What is above waits; a change counts from the next start on. */
@Controller()
export class JobsLimitController {
  constructor(private readonly caller: Caller) {}

  @Route('GET', '/api/v1/admin/limits', {
    policy: 'users:manage',
    summary: 'The limit for all, and the users that have their own',
    answer: limits,
  })
  async get(@Req() request: FastifyRequest): Promise<Limits> {
    const [most, users] = await Promise.all([
      this.caller.send(request, subjects.getDefaultLimit, {}),
      this.caller.send(request, subjects.listUsers, {}),
    ]);
    const overrides = users.flatMap(({ id, email, role, maxConcurrentRuns: own }) =>
      own === null ? [] : [{ id, email, role, max_jobs: own }],
    );
    return { default_limit: most, overrides };
  }

  @Route('POST', '/api/v1/admin/limits/global', {
    policy: 'users:manage',
    summary: 'Sets the limit for all who have no own',
    body: globalBody,
    answer: limits,
  })
  async setGlobal(@Req() request: FastifyRequest): Promise<Limits> {
    const { max_jobs: most } = bodyOf(globalBody, request);
    await this.caller.send(request, subjects.setDefaultLimit, { most });
    return this.get(request);
  }

  @Route('POST', '/api/v1/admin/limits/users/:id', {
    policy: 'users:manage',
    summary: "Sets a user's own limit; null takes it away",
    body: userBody,
    answer: limits,
  })
  async setUser(@Req() request: FastifyRequest): Promise<Limits> {
    const { max_jobs: most } = bodyOf(userBody, request);
    const id = paramOf(request);
    if (!(await this.caller.send(request, subjects.getUser, { id }))) {
      throw new Refusal('not-found', 'USER_NOT_FOUND', 'User not found');
    }
    await this.caller.send(request, subjects.changeUser, { id, maxConcurrentRuns: most });
    return this.get(request);
  }
}
