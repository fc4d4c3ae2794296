import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, eventually, sharedStack, type Client, type Stack } from '#testing';
import {
  define,
  ended,
  noop,
  runsOf,
  sh,
  type LedgerEvent,
  type List,
  type Problem,
  type Process,
  type Run,
} from './native.harness.js';

let stack: Stack;
let admin: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const instant = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const missing = '01890000-0000-7000-8000-000000000000';
const nightly = { cron: '0 2 * * *', zone: 'Europe/Vienna' };
const patch = <T>(id: string, body: object) => admin.call<T>('PATCH', `/api/v1/processes/${id}`, body);
const read = async (id: string) => (await admin.get<Process>(`/api/v1/processes/${id}`)).body;

describe('POST /processes: define', () => {
  test('201 with the whole process', async () => {
    const policies = { timeout: '1h', retry: { attempts: 2, delay: '10s', backoff: 2 }, overlap: 'queue', priority: 7 };
    const body = { name: 'Disk report', description: 'How full', action: sh('df -P'), triggers: [nightly], policies };
    const { status, body: made, headers } = await admin.post<Process>('/api/v1/processes', body);
    expect(status).toBe(201);
    expect(made).toEqual({
      ...body,
      id: expect.stringMatching(uuid),
      number: expect.any(Number),
      enabled: true,
      words: 'at 02:00 every day (Europe/Vienna)',
      revision: 1,
      owner: (await admin.get<{ id: string }>('/api/v1/me')).body.id,
      createdAt: expect.stringMatching(instant),
      updatedAt: made.createdAt,
      nextRunAt: expect.stringMatching(instant),
      lastRun: null,
    });
    expect(headers.get('x-ledger-position')).toMatch(/^[1-9]\d*$/);
    expect(await read(made.id)).toEqual(made);
  });

  test('the next run is the next instant of the trigger, in its own zone; none without a trigger', async () => {
    const { nextRunAt } = await define(admin, { triggers: [nightly] });
    const hour = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Vienna', timeStyle: 'short' });
    expect(hour.format(new Date(nextRunAt!))).toBe('02:00');
    expect(Date.parse(nextRunAt!) - Date.now()).toBeLessThan(26 * 3_600_000);
    expect(await define(admin, {})).toMatchObject({ nextRunAt: null, triggers: [], policies: {}, description: null });
  });

  test.each<[string, object, string]>([
    ['no name', { name: undefined }, 'name'],
    ['an empty name', { name: '' }, 'name'],
    ['a name that is too long', { name: 'x'.repeat(201) }, 'name'],
    ['no action', { action: undefined }, 'action'],
    ['an unknown kind', { action: { kind: 'teleport' } }, 'action.kind'],
    ['a cron that never fires', { triggers: [{ cron: '0 0 30 2 *' }] }, 'triggers.0.cron'],
    ['an unknown zone', { triggers: [{ cron: '0 2 * * *', zone: 'Mars/Olympus' }] }, 'triggers.0.cron'],
    ['a duration without a unit', { policies: { timeout: '90' } }, 'policies.timeout'],
    ['a duration of two units', { policies: { timeout: '1h30m' } }, 'policies.timeout'],
    ['no attempts', { policies: { retry: { attempts: 0 } } }, 'policies.retry.attempts'],
    ['too many attempts', { policies: { retry: { attempts: 11 } } }, 'policies.retry.attempts'],
    ['an unknown overlap', { policies: { overlap: 'wait' } }, 'policies.overlap'],
    ['a priority beyond 10', { policies: { priority: 11 } }, 'policies.priority'],
    ['NUL in a text', { description: 'a\u0000b' }, ''],
  ])('%s is refused with its place', async (_, wrong, path) => {
    const answer = await admin.post<Problem>('/api/v1/processes', { name: 'x', action: noop, ...wrong });
    expect(answer.status).toBe(422);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(answer.body).toEqual({
      type: expect.stringMatching(/^https:\/\//),
      title: 'Unprocessable Entity',
      status: 422,
      detail: expect.stringMatching(/\w/),
      code: expect.stringMatching(/^[A-Z_]+$/),
      errors: path === '' ? [] : expect.arrayContaining([{ path, message: expect.stringMatching(/\w/) }]),
      correlationId: answer.headers.get('x-correlation-id'),
    });
    expect(answer.headers.get('x-ledger-position')).toMatch(/^\d+$/);
  });

  test.each(['0', '250ms', '90s', '15m', '2h', '1d'])('the duration %s is taken as it is', async (delay) => {
    const { policies } = await define(admin, { policies: { retry: { delay } } });
    expect(policies).toEqual({ retry: { delay } });
  });

  test('unknown fields are refused, at every depth', async () => {
    for (const wrong of [
      { colour: 'red' },
      { policies: { retries: 3 } },
      { policies: { retry: { times: 3 } } },
      { action: { kind: 'noop', cwd: '/' } },
      { triggers: [{ cron: '0 2 * * *', timezone: 'UTC' }] },
    ]) {
      const answer = await admin.post<Problem>('/api/v1/processes', { name: 'x', action: noop, ...wrong });
      expect([wrong, answer.status]).toEqual([wrong, 422]);
    }
  });
});

describe('GET /processes: list', () => {
  const ids = (list: List<Process>) => list.items.map(({ id }) => id);
  const list = async (query: string) => (await admin.get<List<Process>>(`/api/v1/processes?${query}`)).body;

  test('newest first, page by page, each once', async () => {
    const made: string[] = [];
    for (let i = 0; i < 7; i++) made.unshift((await define(admin, { name: `paged ${i}` })).id);
    const found: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: List<Process> = await list(`q=paged&limit=3${cursor && `&cursor=${cursor}`}`);
      expect(page.items.length).toBeLessThanOrEqual(3);
      found.push(...ids(page));
      cursor = page.next;
    }
    expect(found).toEqual(made);
  });

  test('q is in name or description, without case, and its wildcards are letters', async () => {
    const named = await define(admin, { name: 'Über 100%_safe' });
    const described = await define(admin, { name: 'other', description: 'ist über 100%_SAFE dabei' });
    await define(admin, { name: 'über 100 unsafe' });
    expect(ids(await list(`q=${encodeURIComponent('ÜBER 100%_sa')}`))).toEqual([described.id, named.id]);
    expect(await list('q=no-such-thing')).toEqual({ items: [], next: null });
  });

  test('by kind and by enabled', async () => {
    const command = await define(admin, { name: 'filtered', action: sh('true') });
    const off = await define(admin, { name: 'filtered' });
    await admin.post(`/api/v1/processes/${off.id}/disable`, {});
    expect(ids(await list('q=filtered&kind=command'))).toEqual([command.id]);
    expect(ids(await list('q=filtered&kind=noop'))).toEqual([off.id]);
    expect(ids(await list('q=filtered&enabled=true'))).toEqual([command.id]);
    expect(ids(await list('q=filtered&enabled=false'))).toEqual([off.id]);
  });

  test.each(['limit=0', 'limit=1001', 'limit=x', 'cursor=x', 'enabled=maybe', 'after=x'])(
    '%s is refused',
    async (query) => {
      const { status, body } = await admin.get<Problem>(`/api/v1/processes?${query}`);
      expect([status, body.status]).toEqual([422, 422]);
    },
  );
});

describe('PATCH /processes/{id}: revise', () => {
  test('changes what is named and keeps the rest; every revision is kept with who and when', async () => {
    const { id, owner } = await define(admin, { name: 'first', description: 'kept', triggers: [nightly] });
    const second = await patch<Process>(id, { revision: 1, name: 'second' });
    expect(second.status).toBe(200);
    expect(second.body).toMatchObject({ name: 'second', description: 'kept', triggers: [nightly], revision: 2 });
    expect((await patch<Process>(id, { revision: 2, triggers: [], description: null })).body).toMatchObject({
      ...{ name: 'second', description: null, triggers: [], revision: 3, nextRunAt: null },
    });
    const { items, next } = (await admin.get<List<object>>(`/api/v1/processes/${id}/revisions`)).body;
    const stamp = { by: owner, at: expect.stringMatching(instant) };
    expect(items).toMatchObject([
      { revision: 1, name: 'first', ...stamp },
      { revision: 2, name: 'second', triggers: [nightly], ...stamp },
      { revision: 3, name: 'second', triggers: [], ...stamp },
    ]);
    expect(next).toBeNull();
  });

  test('a revision that is not the current one is 409 and changes nothing', async () => {
    const { id } = await define(admin, { name: 'stale' });
    await patch(id, { revision: 1, name: 'newer' });
    const { status, body } = await patch<Problem>(id, { revision: 1, name: 'lost update' });
    expect([status, body.code]).toEqual([409, 'REVISION_STALE']);
    expect((await patch<Problem>(id, { revision: 7, name: 'from the future' })).status).toBe(409);
    expect((await patch<Problem>(id, { name: 'without a revision' })).body.errors[0]?.path).toBe('revision');
    expect(await read(id)).toMatchObject({ name: 'newer', revision: 2 });
  });

  test('of many at once with one revision, one is through', async () => {
    const { id } = await define(admin, { name: 'contended' });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => patch<Process>(id, { revision: 1, name: `by ${i}` })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(7).fill(409)]);
    const winner = answers.find(({ status }) => status === 200)!.body;
    expect(await read(id)).toMatchObject({ name: winner.name, revision: 2 });
  });
});

describe('POST /processes/{id}/enable · /disable', () => {
  test('a disabled one has no next run; by hand it still runs', async () => {
    const { id } = await define(admin, { triggers: [nightly] });
    const off = await admin.post<Process>(`/api/v1/processes/${id}/disable`, { reason: 'holiday' });
    expect([off.status, off.body.enabled, off.body.nextRunAt]).toEqual([200, false, null]);
    expect((await admin.post(`/api/v1/processes/${id}/run`, {})).status).toBe(202);
    const on = await admin.post<Process>(`/api/v1/processes/${id}/enable`);
    expect(on.body).toMatchObject({ enabled: true, nextRunAt: expect.stringMatching(instant) });
    const { items } = (await admin.get<List<LedgerEvent>>(`/api/v1/events?stream=process-${id}`)).body;
    expect(items.map(({ type }) => type)).toEqual(['ProcessDefined', 'ProcessDisabled', 'ProcessEnabled']);
    expect(items[1]?.data).toMatchObject({ reason: 'holiday', until: null });
  });

  test('until: does not fire while it is off, and is enabled again by itself', async () => {
    const { id } = await define(admin, { triggers: [{ cron: '* * * * * *' }] });
    const until = new Date(Date.now() + 4_000).toISOString();
    await admin.post(`/api/v1/processes/${id}/disable`, { reason: 'short', until });
    const off = Date.now();
    const on = await eventually('it to be enabled', async () => {
      const process = await read(id);
      return process.enabled && process;
    });
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(until));
    expect(Date.parse(on.updatedAt) - Date.parse(until)).toBeLessThan(20_000);
    await eventually('a fire after the pause', async () =>
      (await runsOf(admin, id)).some((run) => run.scheduledFor! > until),
    );
    const fired = (await runsOf(admin, id)).map(({ scheduledFor }) => Date.parse(scheduledFor!));
    expect(fired.filter((at) => at > off && at < Date.parse(until))).toEqual([]);
    await admin.post(`/api/v1/processes/${id}/disable`, {});
  });

  test.each([
    ['2999-01-01T00:00:00+16:00', '2998-12-31T08:00:00.000Z'],
    ['2999-01-01T00:00:00.123456-23:59', '2999-01-01T23:59:00.123Z'],
  ])('until: whatever its offset: %s', async (until, stored) => {
    const { id } = await define(admin, {});
    const off = await admin.post<Process>(`/api/v1/processes/${id}/disable`, { until });
    expect([off.status, off.body.enabled]).toEqual([200, false]);
    const { items } = (await admin.get<List<LedgerEvent>>(`/api/v1/events?stream=process-${id}`)).body;
    expect(items.at(-1)?.data).toMatchObject({ until: stored });
  });

  test.each([
    ...['tomorrow', '2027-01-01', '2001-01-01T00:00:00Z', '0000-01-01T00:00:00Z', '0000-01-01T00:00:00+23:59'],
    '9999-12-31T23:59:59-00:01',
  ])('until: %s is refused', async (until) => {
    const { id } = await define(admin, {});
    const { status, body } = await admin.post<Problem>(`/api/v1/processes/${id}/disable`, { until });
    expect([status, body.errors[0]?.path]).toEqual([422, 'until']);
    expect((await read(id)).enabled).toBe(true);
  });

  test('an unknown field is refused', async () => {
    const { id } = await define(admin, {});
    expect((await admin.post(`/api/v1/processes/${id}/disable`, { why: 'x' })).status).toBe(422);
  });
});

describe('POST /processes/{id}/run', () => {
  test('202 with a run of the present revision, which the process then shows as its last', async () => {
    const { id } = await define(admin, { name: 'by hand', action: sh('echo one') });
    await patch(id, { revision: 1, action: sh('echo two') });
    const { status, body: run } = await admin.post<Run>(`/api/v1/processes/${id}/run`, { parameters: { day: 1 } });
    expect(status).toBe(202);
    expect(run).toMatchObject({
      process: { id, name: 'by hand', revision: 2 },
      ...{ status: 'queued', scheduled: false, scheduledFor: null, attempt: 0, action: sh('echo two') },
    });
    const done = await ended(admin, run);
    const { body: last } = await admin.get<Process>(`/api/v1/processes/${id}`);
    expect(last.lastRun).toEqual(done);
  });

  test('an order without a body is one without parameters; an unknown field is refused', async () => {
    const { id } = await define(admin, {});
    expect((await admin.post(`/api/v1/processes/${id}/run`)).status).toBe(202);
    expect((await admin.post(`/api/v1/processes/${id}/run`, { params: {} })).status).toBe(422);
  });
});

describe('DELETE /processes/{id}: retire', () => {
  test('204; it is listed and runs no more, its history stays', async () => {
    const { id } = await define(admin, { name: 'retiring', triggers: [{ cron: '* * * * * *' }] });
    const { body: run } = await admin.post<Run>(`/api/v1/processes/${id}/run`, {});
    const answer = await admin.call('DELETE', `/api/v1/processes/${id}`);
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect((await admin.get<List<Process>>('/api/v1/processes?q=retiring')).body.items).toEqual([]);
    expect((await admin.post(`/api/v1/processes/${id}/run`, {})).status).toBe(404);
    expect((await patch(id, { revision: 1, name: 'x' })).status).toBe(404);
    expect((await admin.call('DELETE', `/api/v1/processes/${id}`)).status).toBe(404);
    expect((await runsOf(admin, id)).map((each) => each.id)).toContain(run.id);
    expect((await admin.get<List<object>>(`/api/v1/processes/${id}/revisions`)).body.items).toHaveLength(1);
  });

  test.each([
    ['GET', ''],
    ['GET', '/revisions'],
    ['PATCH', ''],
    ['POST', '/enable'],
    ['POST', '/disable'],
    ['POST', '/run'],
    ['DELETE', ''],
  ])('%s {id}%s of one that never was is 404, and of what is no id', async (method, path) => {
    for (const id of [missing, 'no-id', '7']) {
      const body = method === 'GET' || method === 'DELETE' ? undefined : method === 'PATCH' ? { revision: 1 } : {};
      const answer = await admin.call<Problem>(method, `/api/v1/processes/${id}${path}`, body);
      expect([id, answer.status, answer.body?.code]).toEqual([id, 404, 'PROCESS_NOT_FOUND']);
    }
  });
});
