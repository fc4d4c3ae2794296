import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { io } from 'socket.io-client';
import { adminOf, Client, eventually, startStack, type Stack } from '#testing';
import { headOf } from '../../refused.harness.js';

interface User {
  id: string;
  email: string;
  role: string;
  is_active: boolean;
  max_concurrent_jobs: number | null;
  created_at: string;
}
interface Detail {
  detail: string;
}
interface Invalid {
  detail: { type: string; loc: (string | number)[]; msg: string; input: unknown }[];
}

const password = 'correct horse battery';
const missing = '01890000-0000-7000-8000-000000000000';
let stack: Stack;
let admin: Client;
let made = 0;
beforeAll(async () => {
  stack = await startStack(topology);
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const address = (name = 'user') => `${name}-${++made}@example.com`;
const create = (body: object, by = admin) => by.post<User & Detail & Invalid>('/api/v1/users', body);
const change = (id: string, body: object, by = admin) => by.call<User & Detail>('PATCH', `/api/v1/users/${id}`, body);

async function user(role = 'operator', email = address(role)): Promise<User> {
  const { status, body, text } = await create({ email, password, role });
  if (status !== 201) throw new Error(`${status}: ${text}`);
  return body;
}

const login = (username: string, secret = password) =>
  new Client(stack.url).post<{ access_token: string } & Detail>(
    '/api/v1/auth/token',
    new URLSearchParams({ username, password: secret }),
  );

async function signedIn(username: string, secret = password): Promise<Client> {
  const { status, body } = await login(username, secret);
  if (status !== 200) throw new Error(`${username}: ${status}`);
  return new Client(stack.url, { authorization: `Bearer ${body.access_token}` });
}

describe('POST /users', () => {
  test('201 with the user, who can sign in by his e-mail in any case', async () => {
    const email = `Mixed.Case-${++made}@Example.com`;
    const { status, body } = await create({ email, password, role: 'viewer' });
    expect([status, body]).toEqual([
      201,
      {
        ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), email, role: 'viewer', is_active: true },
        ...{ max_concurrent_jobs: null, created_at: expect.stringMatching(/^\d{4}-.*Z$/) },
      },
    ]);
    for (const name of [email, email.toLowerCase(), email.toUpperCase()]) {
      expect((await (await signedIn(name)).get('/api/v1/users/me')).body).toEqual(body);
    }
  });

  test('an e-mail that somebody has is 409, in whatever case, and nothing is written', async () => {
    const { email } = await user();
    const before = await headOf(admin);
    for (const taken of [email, email.toUpperCase(), 'admin@example.com']) {
      const { status, body } = await create({ email: taken, password, role: 'viewer' });
      expect([status, body]).toEqual([409, { detail: expect.stringContaining('already') }]);
    }
    expect(await headOf(admin)).toBe(before);
  });

  test('of ten at once with one e-mail one is made', async () => {
    const email = address();
    const body = { email, password, role: 'viewer' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(body)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201).length).toBeLessThanOrEqual(1);
    // A busy machine does not hash ten passwords in the time that an order is waited for.
    expect(statuses.filter((status) => ![201, 409, 503].includes(status))).toEqual([]);
    await eventually('the last of them', async () => (await create(body)).status === 409);
    const { body: all } = await admin.get<User[]>('/api/v1/users');
    expect(all.filter((each) => each.email === email)).toHaveLength(1);
  });

  test('a repeat by key is the same user', async () => {
    const body = { email: address(), password, role: 'viewer' };
    const keyed = () => admin.post<User>('/api/v1/users', body, { 'idempotency-key': `users-${body.email}` });
    const [first, second] = [await keyed(), await keyed()];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body).toEqual(first.body);
  });

  test.each<[string, object, (string | number)[]]>([
    ['no e-mail', { password, role: 'viewer' }, ['body', 'email']],
    ['an e-mail that is none', { email: 'nobody', password, role: 'viewer' }, ['body', 'email']],
    ['a short password', { email: 'a@example.com', password: '1234567', role: 'viewer' }, ['body', 'password']],
    ['an unknown role', { email: 'a@example.com', password, role: 'root' }, ['body', 'role']],
    [
      'a limit of none',
      { email: 'a@example.com', password, role: 'viewer', max_concurrent_jobs: 0 },
      ['body', 'max_concurrent_jobs'],
    ],
  ])('%s is 422 with its place; a password is never in it', async (_, body, loc) => {
    const before = await headOf(admin);
    const { status, body: answer, text } = await create(body);
    expect([status, answer.detail[0]!.loc]).toEqual([422, loc]);
    expect(text).not.toMatch(/1234567|battery/);
    expect(await headOf(admin)).toBe(before);
  });
});

test('GET /users is a bare array of all, oldest first; one by id; 404 for nobody', async () => {
  const last = await user();
  const { status, body } = await admin.get<User[]>('/api/v1/users');
  expect(status).toBe(200);
  expect(body[0]).toMatchObject({ email: 'admin@example.com', role: 'admin' });
  expect(body.at(-1)).toEqual(last);
  expect((await admin.get(`/api/v1/users/${last.id}`)).body).toEqual(last);
  for (const id of [missing, '7']) {
    const { status: no, body: why } = await admin.get(`/api/v1/users/${id}`);
    expect([no, why]).toEqual([404, { detail: 'User not found' }]);
    expect((await change(id, { role: 'viewer' })).status).toBe(404);
  }
});

test('only admins manage users; everybody sees himself', async () => {
  const { id } = await user();
  for (const role of ['operator', 'viewer']) {
    const { email } = await user(role);
    const his = await signedIn(email);
    expect((await his.get<User>('/api/v1/users/me')).body.email).toBe(email);
    for (const answer of [
      await his.get('/api/v1/users'),
      await his.get(`/api/v1/users/${id}`),
      await change(id, { role: 'admin' }, his),
      await create({ email: address(), password, role: 'admin' }, his),
    ]) {
      expect([answer.status, answer.body]).toEqual([403, { detail: 'Admin privilege required' }]);
    }
  }
});

test('a viewer may not submit, an operator may', async () => {
  const submit = async (role: string) =>
    (await signedIn((await user(role)).email)).post('/api/v1/jobs', { command: ['true'] });
  expect((await submit('viewer')).status).toBe(403);
  expect((await submit('operator')).status).toBe(202);
});

describe('PATCH /users/{id}', () => {
  test('a role counts at once, in sessions that stand', async () => {
    const { id, email } = await user('operator');
    const his = await signedIn(email);
    expect((await his.post('/api/v1/jobs', { command: ['true'] })).status).toBe(202);
    const { status, body } = await change(id, { role: 'viewer' });
    expect([status, body.role, body.is_active]).toEqual([200, 'viewer', true]);
    expect((await his.post('/api/v1/jobs', { command: ['true'] })).status).toBe(403);
  });

  test('deactivating ends sessions and sockets at once, and no new one begins', async () => {
    const { id, email } = await user('operator');
    const his = await signedIn(email);
    const token = his.header('authorization').replace('Bearer ', '');
    const socket = io(stack.url, { auth: { token }, transports: ['websocket'] });
    try {
      expect(await socket.timeout(10_000).emitWithAck('subscribe', { room: 'events' })).toMatchObject({ ok: true });
      const { status, body } = await change(id, { is_active: false });
      expect([status, body.is_active]).toEqual([200, false]);
      expect((await his.get('/api/v1/users/me')).status).toBe(401);
      await eventually('the socket to be cut', () => Promise.resolve(!socket.connected));
    } finally {
      socket.disconnect();
    }
    const unknown = await login('nobody@example.com');
    const inactive = await login(email);
    expect([inactive.status, inactive.body]).toEqual([401, unknown.body]);
    expect((await change(id, { is_active: true })).body.is_active).toBe(true);
    expect((await his.get('/api/v1/users/me')).status).toBe(401);
    expect((await login(email)).status).toBe(200);
  });

  test('a new password ends the sessions of the old one', async () => {
    const { id, email } = await user();
    const his = await signedIn(email);
    expect((await change(id, { password: 'another long secret' })).status).toBe(200);
    expect((await his.get('/api/v1/users/me')).status).toBe(401);
    expect((await login(email)).status).toBe(401);
    expect((await login(email, 'another long secret')).status).toBe(200);
  });

  test('all at once are one order; what is left out, null or the same makes no event', async () => {
    const { id } = await user('viewer');
    const before = await headOf(admin);
    for (const nothing of [{}, { role: null, password: null, is_active: null }, { role: 'viewer', is_active: true }]) {
      expect((await change(id, nothing)).body).toMatchObject({ role: 'viewer', is_active: true });
    }
    expect(await headOf(admin)).toBe(before);
    await change(id, { role: 'operator', password: 'another long secret', is_active: false });
    const { body } = await admin.get<{ items: { type: string; data: object }[] }>(`/api/v1/events?stream=user-${id}`);
    expect(body.items.map(({ type }) => type)).toEqual([
      ...['UserRegistered', 'UserRoleAssigned', 'UserPasswordReplaced', 'UserDeactivated'],
    ]);
    expect(JSON.stringify(body)).not.toMatch(/secret|battery|argon|scrypt/);
  });

  test('the last active admin can be neither deactivated nor demoted; of two who try it on each other one is refused', async () => {
    const { body: me } = await admin.get<User>('/api/v1/users/me');
    for (const body of [{ is_active: false }, { role: 'viewer' }]) {
      const { status, body: why } = await change(me.id, body);
      expect([status, why]).toEqual([400, { detail: expect.stringContaining('last active admin') }]);
    }
    const second = await user('admin');
    const his = await signedIn(second.email);
    const answers = await Promise.all([change(second.id, { role: 'viewer' }), change(me.id, { role: 'viewer' }, his)]);
    expect(answers.map(({ status }) => status).filter((status) => status === 200)).toHaveLength(1);
    const left = (await (answers[0]!.status === 200 ? admin : his).get<User[]>('/api/v1/users')).body;
    expect(left.filter(({ role, is_active }) => role === 'admin' && is_active)).toHaveLength(1);
    // As it was, for the tests that follow.
    if (answers[0]!.status !== 200) await change(me.id, { role: 'admin' }, his);
    await change(second.id, { role: 'viewer' });
  });

  test.each([{ role: 'user' }, { password: 'short' }, { is_active: 'no' }, { max_concurrent_jobs: 0 }])(
    '%j is 422',
    async (body) => {
      const { id } = await user();
      expect((await change(id, body)).status).toBe(422);
    },
  );
});
