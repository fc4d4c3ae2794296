import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, type Client, eventually, sharedStack, signIn, type Stack } from '#testing';
import { addUser } from './live/second-user.harness.js';
import './gateway.module.js';
import { headOf } from './refused.harness.js';
import { routes, type RouteEntry } from './route.js';

/** Every route that names an object, asked by everybody whom the object does not belong to. */
const named = routes.filter(({ path, policy }) => /:(id|number)\b/.test(path) && policy !== 'public');
const title = ({ method, path }: RouteEntry) => `${method} ${path}`;

/** Bodies that would do, so that it is the object which is refused. */
const bodies: Record<string, object> = {
  'POST /api/v1/jobs/:id/force-complete': { status: 'success' },
  'POST /api/v1/job-batches/:id/force-complete': { status: 'success' },
  'POST /api/v1/admin/limits/users/:id': { max_jobs: 3 },
  'POST /api/v1/webhooks/:id/replay': { from: '1' },
  'PATCH /api/v1/processes/:id': { revision: 1, name: 'taken' },
};
const bodyOf = (route: RouteEntry) => (route.method === 'GET' ? undefined : (bodies[title(route)] ?? {}));

const missing = { id: '01890000-0000-7000-8000-000000000000', number: '2000000000' };
const strangers = ['operator', 'viewer', 'user'] as const;

let stack: Stack;
let owner: Client;
let admin: Client;
let asking: Record<(typeof strangers)[number], Client>;
let objects: { job: Thing; batch: Thing; process: Thing; user: Thing; webhook: Thing };

interface Thing {
  id: string;
  number: string;
}

beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  const owning = await addUser(stack.databaseUrl, 'owning', 'operator');
  for (const role of strangers) await addUser(stack.databaseUrl, `strange-${role}`, role);
  owner = await signIn(stack, 'owning');
  const all = strangers.map(async (role) => [role, await signIn(stack, `strange-${role}`)] as const);
  asking = Object.fromEntries(await Promise.all(all)) as typeof asking;
  objects = await make(owning);
});
afterAll(() => stack.stop());

async function make(user: string): Promise<typeof objects> {
  const command = ['true'];
  const job = (await owner.post<{ id: string }>('/api/v1/jobs', { command })).body.id;
  const { body } = await owner.post<{ id: string; number: number }>('/api/v1/processes', {
    ...{ name: 'owned', action: { kind: 'command', command } },
  });
  const batch = (await owner.post<{ id: string }>('/api/v1/job-batches', { name: 'owned', jobs: [{ command }] })).body;
  const hook = (await owner.post<{ id: string }>('/api/v1/webhooks', { url: 'https://receiver.invalid/' })).body;
  const run = await eventually('the job to be over', async () => {
    const { body: row } = await owner.get<{ status: string; number: number }>(`/api/v1/runs/${job}`);
    return row.status === 'succeeded' && row;
  });
  return {
    job: { id: job, number: String(run.number) },
    batch: { id: batch.id, number: missing.number },
    process: { id: body.id, number: String(body.number) },
    user: { id: user, number: missing.number },
    webhook: { id: hook.id, number: missing.number },
  };
}

function thingOf({ path }: RouteEntry): Thing {
  if (/batch/.test(path)) return objects.batch;
  if (/user/.test(path)) return objects.user;
  if (/webhook/.test(path)) return objects.webhook;
  return /process|task/.test(path) ? objects.process : objects.job;
}

function ask(by: Client, route: RouteEntry, { id, number }: Thing) {
  // The viewer's ids are numbers.
  const ofViewer = /^\/api\/(processes|runs)/.test(route.path);
  const path = route.path.replace(':id', ofViewer ? number : id).replace(':number', number);
  return by.call(route.method, path, bodyOf(route));
}

/** What an answer may differ in, whoever asks for whatever. */
const plain = (text: string) =>
  text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>').replaceAll(/\b\d{1,10}\b/g, '<n>');

describe.each(strangers)('to a stranger who is %s', (role) => {
  test.each(named.map((route): [string, RouteEntry] => [title(route), route]))('%s', async (_, route) => {
    const before = await headOf(admin);
    const [real, none] = [await ask(asking[role], route, thingOf(route)), await ask(asking[role], route, missing)];
    const ownOnly = /^\/api\/(v1\/(jobs|job-batches|webhooks)|tasks)\b/.test(route.path);
    const reads = route.method === 'GET' && route.policy !== 'users:manage' && role !== 'user' && !ownOnly;
    if (reads) expect([real.status, none.status]).toEqual([200, 404]);
    else {
      expect([real.status, plain(real.text)]).toEqual([none.status, plain(none.text)]);
      expect([403, 404]).toContain(real.status);
    }
    expect(await headOf(admin)).toBe(before);
  });
});

test('the owner and an admin see each of them', async () => {
  for (const route of named.filter(({ method }) => method === 'GET')) {
    const seen = [await ask(admin, route, thingOf(route)), await ask(owner, route, thingOf(route))];
    const mine = route.policy === 'users:manage' ? 403 : 200;
    expect([title(route), ...seen.map(({ status }) => status)]).toEqual([title(route), 200, mine]);
  }
});
