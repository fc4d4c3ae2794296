import { Controller, Req } from '@nestjs/common';
import { type FastifyRequest } from 'fastify';
import { z } from 'zod';
import { subjects, type UserCard } from '#bus';
import { Refusal, roles } from '#domain';
import { Caller, idFor, sessionOf } from '../../caller.js';
import { bodyOf, paramOf } from '../../parse.js';
import { Route } from '../../route.js';
import { mostJobs } from './limits.controller.js';

const password = z.string().min(8).max(1_024);
const role = z.enum(['admin', 'operator', 'viewer']);

const newUser = z.object({
  email: z.email().max(254),
  password,
  role,
  max_concurrent_jobs: mostJobs.nullable().optional(),
});
const userChange = z.object({
  role: role.nullable().optional(),
  password: password.nullable().optional(),
  is_active: z.boolean().nullable().optional(),
  /** Left out it stays; null takes it away. */
  max_concurrent_jobs: mostJobs.nullable().optional(),
});

const userRead = z.object({
  id: z.uuid(),
  email: z.string(),
  role: z.enum(roles),
  is_active: z.boolean(),
  max_concurrent_jobs: z.int().nullable(),
  created_at: z.iso.datetime(),
});
userRead.register(z.globalRegistry, { id: 'User' });
type UserRead = z.infer<typeof userRead>;

const noSuchUser = () => new Refusal('not-found', 'USER_NOT_FOUND', 'User not found');

/** Users as the job runner's document has them; the e-mail is the name that they sign in with. */
@Controller()
export class JobsUsersController {
  constructor(private readonly caller: Caller) {}

  @Route('POST', '/api/v1/users', {
    policy: 'users:manage',
    summary: 'Makes a user; 409 when somebody has the e-mail',
    status: 201,
    body: newUser,
    answer: userRead,
    refuses: ['limited'],
  })
  async create(@Req() request: FastifyRequest): Promise<UserRead> {
    const { email, password: secret, role: given, max_concurrent_jobs: most = null } = bodyOf(newUser, request);
    const order = { id: idFor(request, 'user'), username: email, email, role: given };
    const made = { ...order, password: secret, maxConcurrentRuns: most };
    return userShape((await this.caller.send(request, subjects.createUser, made)).user);
  }

  @Route('GET', '/api/v1/users', { policy: 'users:manage', summary: 'All users', answer: z.array(userRead) })
  async list(@Req() request: FastifyRequest): Promise<UserRead[]> {
    return (await this.caller.send(request, subjects.listUsers, {})).map(userShape);
  }

  @Route('GET', '/api/v1/users/me', { policy: 'session', summary: 'Whoever asks', answer: userRead })
  me(@Req() request: FastifyRequest): UserRead {
    return userShape(sessionOf(request).user);
  }

  @Route('GET', '/api/v1/users/:id', { policy: 'users:manage', summary: 'One user', answer: userRead })
  async get(@Req() request: FastifyRequest): Promise<UserRead> {
    const found = await this.caller.send(request, subjects.getUser, { id: paramOf(request) });
    if (!found) throw noSuchUser();
    return userShape(found);
  }

  /** What is left out, or null, stays. A new password and a deactivation end the user's sessions at once. */
  @Route('PATCH', '/api/v1/users/:id', {
    policy: 'users:manage',
    summary: 'Changes role, password, `is_active` or the limit',
    body: userChange,
    answer: userRead,
    refuses: ['rejected', 'limited'],
  })
  async change(@Req() request: FastifyRequest): Promise<UserRead> {
    const { role: given, password: secret, is_active: active, max_concurrent_jobs: most } = bodyOf(userChange, request);
    const order = {
      id: paramOf(request),
      ...(given ? { role: given } : {}),
      ...(secret ? { password: secret } : {}),
      ...(typeof active === 'boolean' ? { active } : {}),
      ...(most === undefined ? {} : { maxConcurrentRuns: most }),
    };
    return userShape((await this.caller.send(request, subjects.changeUser, order)).user);
  }
}

function userShape({ id, email, role: given, active, maxConcurrentRuns: most, createdAt }: UserCard): UserRead {
  return { id, email, role: given, is_active: active, max_concurrent_jobs: most, created_at: createdAt };
}
