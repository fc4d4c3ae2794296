import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { adminOf, Client, eventually, sharedStack, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { isAlive, missing, sh, type Invalid } from './batches.harness.js';

interface Job {
  id: string;
  status: string;
  error: string | null;
  return_code: number | null;
  [field: string]: unknown;
}
interface Logs {
  stdout: string;
  stderr: string;
}
interface Event {
  type: string;
  data: Record<string, unknown>;
  meta: { actor: string };
}

let stack: Stack;
let admin: Client;
let olga: Client;
let other: Client;
let viewer: Client;
let user: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  olga = await newcomer(stack, 'olga', 'operator');
  other = await newcomer(stack, 'otto', 'operator');
  viewer = await newcomer(stack, 'vera', 'viewer');
  user = await newcomer(stack, 'uli', 'user');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const forced = (id: string, body: object, by = olga) => by.post<Job>(`/api/v1/jobs/${id}/force-complete`, body);
const purge = (id: string, by = olga) => by.call<{ detail: string }>('DELETE', `/api/v1/jobs/${id}/purge`);
const read = async (id: string, by = olga) => (await by.get<Job>(`/api/v1/jobs/${id}`)).body;
const logs = async (id: string, by = olga) => (await by.get<Logs>(`/api/v1/jobs/${id}/logs`)).body;

async function submit(command: string[], more: object = {}): Promise<string> {
  const { status, body, text } = await olga.post<Job>('/api/v1/jobs', { command, ...more });
  if (status !== 202) throw new Error(`${status}: ${text}`);
  return body.id;
}

const reaches = (id: string, ...statuses: string[]) =>
  eventually(`the job to be ${statuses.join(' or ')}`, async () => {
    const job = await read(id);
    return statuses.includes(job.status) && job;
  });

async function done(command: string[]): Promise<string> {
  const id = await submit(command);
  await reaches(id, 'success', 'failed');
  return id;
}

async function eventsOf(id: string): Promise<Event[]> {
  const { body } = await admin.get<{ items: Event[] }>(`/api/v1/events?stream=run-${id}&limit=1000`);
  return body.items;
}
const typesOf = async (id: string) => (await eventsOf(id)).map(({ type }) => type);

describe('POST /jobs/{id}/force-complete', () => {
  const words = { success: 'succeeded', failed: 'failed', canceled: 'cancelled' };

  test.each(Object.keys(words) as (keyof typeof words)[])(
    'a running job ends as %s, and is really over',
    async (to) => {
      const file = path.join(stack.dataDir, `pid-${to}`);
      const id = await submit(sh(`echo $$ > ${file}; echo before; (setsid sleep 300 &); sleep 300`));
      await reaches(id, 'running');
      const pid = await eventually('its pid', async () => {
        try {
          return Number(readFileSync(file, 'utf8')) || undefined;
        } catch {
          return undefined;
        }
      });
      const { status, body } = await forced(id, { status: to });
      expect([status, body]).toEqual([
        200,
        expect.objectContaining({ id, status: to, return_code: null, detail: expect.any(String) }),
      ]);
      expect(await read(id)).toMatchObject({
        ...{ status: to, error: to === 'success' ? null : 'force-completed', completed_at: expect.any(String) },
      });
      await eventually('its process to be dead', async () => !isAlive(pid));
      const [verdict] = (await eventsOf(id)).filter(({ type }) => type === 'RunForceCompleted');
      expect(verdict!.data).toMatchObject({ status: words[to], attempt: 1, replaces: [] });
      // What the fenced attempt reports comes later and changes nothing.
      await eventually('the late report', async () => (await typesOf(id)).includes('RunLateReported'));
      expect(await read(id)).toMatchObject({ status: to });
      const native = await olga.get<{ status: string }>(`/api/v1/runs/${id}`);
      expect(native.body).toMatchObject({ status: words[to] });
    },
  );

  test.each(['success', 'failed', 'canceled'])('a pending job ends as %s and never starts', async (to) => {
    const id = await submit(['true'], { scheduled_at: '2150-01-01T00:00:00Z' });
    expect((await forced(id, { status: to })).body).toMatchObject({ status: to, started_at: null });
    expect(await typesOf(id)).toEqual(['RunRequested', 'RunForceCompleted']);
  });

  test('a finished job’s verdict is overridden, again and again; all stay in the history, and the counts follow', async () => {
    const id = await done(sh('echo out; exit 3'));
    const before = (await olga.get<Record<string, number>>('/api/v1/jobs/stats')).body;
    for (const to of ['success', 'canceled', 'failed', 'success']) {
      expect((await forced(id, { status: to })).body).toMatchObject({ status: to, return_code: 3 });
      expect(await logs(id)).toMatchObject({ stdout: 'out\n', stderr: '' });
    }
    const after = (await olga.get<Record<string, number>>('/api/v1/jobs/stats')).body;
    expect(after).toEqual({ ...before, failed: before['failed']! - 1, success: before['success']! + 1 });
    expect(await typesOf(id)).toEqual([
      ...['RunRequested', 'RunStarted', 'RunFailed'],
      ...Array<string>(4).fill('RunForceCompleted'),
    ]);
    const { items } = (await olga.get<{ items: Job[] }>('/api/v1/jobs?status=success')).body;
    expect(items.map((job) => job.id)).toContain(id);
  });

  test('stdout and stderr that are given are what the logs answer, each by itself, empty or long', async () => {
    const id = await done(sh('echo printed; echo oops >&2'));
    const long = 'ü€😀\n'.repeat(30_000);
    await forced(id, { status: 'failed', stdout: long });
    expect(await logs(id)).toMatchObject({ stdout: long, stderr: 'oops\n' });
    await forced(id, { status: 'failed', stderr: '' });
    expect(await logs(id)).toMatchObject({ stdout: long, stderr: '' });
    await forced(id, { status: 'success', stdout: 'said', stderr: null });
    expect(await logs(id)).toMatchObject({ stdout: 'said', stderr: '' });
    const waiting = await submit(['true'], { scheduled_at: '2150-01-01T00:00:00Z' });
    await forced(waiting, { status: 'success', stdout: 'by hand' });
    expect(await logs(waiting)).toMatchObject({ stdout: 'by hand', stderr: '' });
  });

  test.each<[string, unknown, (string | number)[]]>([
    ['no status', {}, ['body', 'status']],
    ['another word', { status: 'succeeded' }, ['body', 'status']],
    ['a status that is active', { status: 'running' }, ['body', 'status']],
    ['no text as output', { status: 'failed', stdout: 7 }, ['body', 'stdout']],
    ['a NUL in the output', { status: 'failed', stderr: 'a\u0000' }, ['body']],
    ['nothing', undefined, ['body', 'status']],
  ])('%s is 422 with its place, and changes nothing', async (_, body, loc) => {
    const id = await done(['true']);
    const answer = await olga.post<Invalid>(`/api/v1/jobs/${id}/force-complete`, body);
    expect([answer.status, Object.keys(answer.body)]).toEqual([422, ['detail']]);
    expect(answer.body.detail[0]).toMatchObject({ type: expect.any(String), loc, msg: expect.stringMatching(/\w/) });
    expect(answer.body.detail[0]).toHaveProperty('input');
    expect(await read(id)).toMatchObject({ status: 'success' });
  });
});

describe('who may', () => {
  const orders: [string, (id: string, by: Client) => Promise<{ status: number; body: unknown }>][] = [
    ['force-complete', (id, by) => forced(id, { status: 'failed' }, by)],
    ['purge', (id, by) => purge(id, by)],
  ];

  test.each(orders)('%s: a viewer and a user may not, whoever’s it is', async (_, order) => {
    const id = await done(['true']);
    for (const by of [viewer, user]) {
      for (const each of [id, missing]) {
        const { status, body } = await order(each, by);
        expect([status, body]).toEqual([403, { detail: expect.any(String) }]);
      }
    }
    expect((await order(id, new Client(stack.url))).status).toBe(401);
    expect(await read(id)).toMatchObject({ status: 'success' });
  });

  test.each(orders)('%s: another operator’s job is as missing as one that never was', async (_, order) => {
    const id = await done(['true']);
    const [hidden, never] = [await order(id, other), await order(missing, other)];
    expect([hidden.status, hidden.body]).toEqual([404, never.body]);
    expect((await order('7', other)).body).toEqual(never.body);
    expect(await read(id)).toMatchObject({ status: 'success' });
  });

  test.each(orders)('%s: an admin may, in his own name', async (_, order) => {
    const id = await done(['true']);
    expect((await order(id, admin)).status).toBe(200);
    const { body } = await admin.get<{ user?: { id: string }; id?: string }>('/api/v1/me');
    const last = (await eventsOf(id)).at(-1)!;
    expect(last.data['by']).toBe(last.meta.actor);
    expect(JSON.stringify(body)).toContain(last.meta.actor);
  });
});

describe('DELETE /jobs/{id}/purge', () => {
  test.each([
    ['pending', { scheduled_at: '2150-01-01T00:00:00Z' }],
    ['running', {}],
  ])('a %s job is 400 and stays', async (word, more) => {
    const id = await submit(['sleep', '300'], more);
    await reaches(id, word);
    const { status, body } = await purge(id);
    expect([status, body]).toEqual([400, { detail: expect.stringMatching(/finished/) }]);
    expect(await read(id)).toMatchObject({ status: word });
    await forced(id, { status: 'canceled' });
    expect((await purge(id)).status).toBe(200);
  });

  test('afterwards it is as missing as one that never was; lists and counts leave it out', async () => {
    const [id, stays] = [await done(['true']), await done(['true'])];
    const before = (await olga.get<Record<string, number>>('/api/v1/jobs/stats')).body;
    expect(await purge(id)).toMatchObject({ status: 200, body: { detail: expect.any(String) } });
    for (const [method, place] of [
      ...[['GET', ''] as const, ['GET', '/logs'] as const, ['POST', '/cancel'] as const, ['DELETE', ''] as const],
      ['DELETE', '/purge'] as const,
    ]) {
      const gone = await olga.call(method, `/api/v1/jobs/${id}${place}`);
      const never = await olga.call(method, `/api/v1/jobs/${missing}${place}`);
      expect([method, place, gone.status, gone.body]).toEqual([method, place, 404, never.body]);
    }
    expect((await forced(id, { status: 'failed' })).status).toBe(404);
    expect((await olga.get(`/api/v1/runs/${id}`)).status).toBe(404);
    const after = (await olga.get<Record<string, number>>('/api/v1/jobs/stats')).body;
    expect(after).toEqual({ ...before, success: before['success']! - 1, total: before['total']! - 1 });
    const { items, total } = (await olga.get<{ items: Job[]; total: number }>('/api/v1/jobs')).body;
    const ids = items.map((job) => job.id);
    expect([ids.includes(id), ids.includes(stays), ids.length]).toEqual([false, true, total]);
    expect((await typesOf(id)).at(-1)).toBe('RunPurged');
  });

  test('of what it printed there is not a byte in any table or file, and the ledger still verifies', async () => {
    const [canary, kept] = ['canary-of-a-purged-job', 'canary-of-a-job-that-stays'];
    // Put together by the command, so that its own text, which stays in the events, does not hold it.
    const print = (word: string) => `printf '%s-%s' ${word.slice(0, 6)} ${word.slice(7)}`;
    const loud = `for i in 1 2 3; do ${print(canary)}; echo; ${print(canary)} >&2; done`;
    const runs = [
      await done(sh(`${loud}; head -c 200000 /dev/zero | tr '\\0' x; exit 1`)),
      await submit(sh(`while :; do ${print(canary)}; echo; done`)),
      await done(sh('true')),
    ];
    const other = await done(sh(print(kept)));
    await eventually('the second job to print', async () => (await holding(canary)).length > 0);
    await forced(runs[1]!, { status: 'failed', stdout: canary });
    await forced(runs[2]!, { status: 'failed', stderr: `${canary}\n`.repeat(5_000) });
    expect(await logs(runs[0]!)).toMatchObject({ stderr: canary.repeat(3) });
    expect(await holding(canary)).toEqual(['run_output']);
    for (const id of runs) expect((await purge(id)).status).toBe(200);
    expect([await holding(canary), await holding(kept)]).toEqual([[], ['run_output']]);
    await eventually('the command’s end', async () => (await typesOf(runs[1]!)).includes('RunLateReported'));
    expect(await holding(canary)).toEqual([]);
    expect(filesWith(canary)).toEqual([]);
    expect(await logs(other)).toMatchObject({ stdout: kept });
    expect((await admin.get<{ ok: boolean }>('/api/v1/verify')).body.ok).toBe(true);
  });
});

/** The tables of which some row holds the word, in text, JSON or bytes. */
async function holding(word: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: stack.databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; columns: string[] }>(
      `select c.relname as name, array_agg(case when a.atttypid = 'bytea'::regtype
          then format('encode(%I, ''escape'')', a.attname) else format('%I::text', a.attname) end) as columns
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relkind in ('r', 'p', 'm') and c.relnamespace = 'public'::regnamespace group by 1 order by 1`,
    );
    const found: string[] = [];
    for (const { name, columns } of rows) {
      const text = `select from "${name}" where concat_ws(' ', ${columns.join(', ')}) like '%' || $1 || '%' limit 1`;
      if ((await client.query(text, [word])).rowCount) found.push(name);
    }
    return found;
  } finally {
    await client.end();
  }
}

/** Files below the data folder that hold the word. */
function filesWith(word: string): string[] {
  const entries = readdirSync(stack.dataDir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  return files.filter((file) => readFileSync(file).includes(word));
}
