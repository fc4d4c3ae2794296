import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, eventually, sharedStack, type Client, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { headOf } from '../../refused.harness.js';
import { define, sh, type List, type Problem, type Process } from './native.harness.js';

interface Tick {
  at: string;
  outcome: string;
  run: string | null;
  reason: string | null;
  cause: string | null;
  text: string;
}
interface Preview {
  words: string;
  next: { at: string; note: string | null }[];
}

let stack: Stack;
let admin: Client;
let operator: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  operator = await newcomer(stack, 'planner', 'operator');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const preview = (trigger: object, more: object = {}) =>
  admin.post<Preview>('/api/v1/schedule/preview', { trigger, ...more });

describe('triggers', () => {
  test('cron, every and at, several on one process, in words', async () => {
    const triggers = [
      { cron: '0 2 * * *', zone: 'Europe/Vienna' },
      { every: '36h' },
      { at: '2099-01-01T01:00:00+01:00' },
    ];
    const made = await define(admin, { triggers });
    expect(made.triggers).toEqual([triggers[0], triggers[1], { at: '2099-01-01T00:00:00.000Z' }]);
    expect(made.words).toBe('at 02:00 every day (Europe/Vienna); every 36 hours; once, at 2099-01-01 00:00:00 (UTC)');
    expect(Date.parse(made.nextRunAt!) - Date.now()).toBeLessThan(26 * 3_600_000);
    expect((await define(admin, {})).words).toBeNull();
  });

  test('every second and at an instant: they fire', async () => {
    const at = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 2_000).toISOString();
    const [often, once] = await Promise.all([
      define(admin, { triggers: [{ every: '1s' }], policies: { overlap: 'allow' } }),
      define(admin, { triggers: [{ at }] }),
    ]);
    const ticks = async ({ id }: Process) => (await admin.get<List<Tick>>(`/api/v1/processes/${id}/ticks`)).body.items;
    await eventually('both to fire', async () => {
      const [many, one] = await Promise.all([ticks(often), ticks(once)]);
      return many.filter(({ outcome }) => outcome === 'fired').length >= 3 && one[0]?.outcome === 'fired';
    });
    const [single, ...more] = await ticks(once);
    expect([single!.at, more]).toEqual([at, []]);
    expect(single!.text).toMatch(/^Run \d+ succeeded\.$/);
    await admin.call('DELETE', `/api/v1/processes/${often.id}`);
  });

  test.each([
    [{ cron: '61 * * * *' }, 'triggers.0.cron'],
    [{ cron: '0 0 30 2 *' }, 'triggers.0.cron'],
    [{ cron: `${'0,'.repeat(150)}0 * * * *` }, 'triggers.0.cron'],
    [{ cron: '0 2 * * *', zone: 'Mars/Olympus' }, 'triggers.0.cron'],
    [{ every: '10ms' }, 'triggers.0.every'],
    [{ every: '1h', cron: '@daily' }, 'triggers.0.every'],
    [{ at: '2001-01-01T00:00:00Z' }, 'triggers.0.at'],
    [{ at: 'tomorrow' }, 'triggers.0.at'],
  ])('422 for %j, and nothing is written', async (trigger, path) => {
    const before = await headOf(admin);
    const body = { name: 'x', action: { kind: 'noop' }, triggers: [trigger] };
    const { status, body: problem } = await admin.post<Problem>('/api/v1/processes', body);
    expect([status, problem.errors[0]?.path]).toEqual([422, path]);
    expect(await headOf(admin)).toBe(before);
  });
});

describe('POST /schedule/preview', () => {
  test('the next instants, in words, after an instant', async () => {
    const { status, body } = await preview({ cron: '*/20 * * * *' }, { count: 3, from: '2026-05-01T10:00:00Z' });
    expect(status).toBe(200);
    expect(body).toEqual({
      words: 'every 20 minutes (UTC)',
      next: ['10:20', '10:40', '11:00'].map((clock) => ({ at: `2026-05-01T${clock}:00.000Z`, note: null })),
    });
    expect((await preview({ every: '1d' })).body.next).toHaveLength(10);
    expect((await preview({ cron: '@manual' })).body).toEqual({ words: 'only when started by hand', next: [] });
  });

  test('says what the clocks do on the days when they change', async () => {
    const vienna = (cron: string, from: string, count: number) =>
      preview({ cron, zone: 'Europe/Vienna' }, { count, from }).then(({ body }) => body.next);
    expect(await vienna('30 2 * * *', '2026-03-28T12:00:00Z', 2)).toEqual([
      {
        at: '2026-03-29T01:00:00.000Z',
        note: 'the clocks go forward from 02:00 to 03:00: what is due in between runs now',
      },
      { at: '2026-03-30T00:30:00.000Z', note: null },
    ]);
    expect(await vienna('30 2 * * *', '2026-10-24T12:00:00Z', 2)).toEqual([
      { at: '2026-10-25T00:30:00.000Z', note: '02:30 comes twice on this day: it runs the first time only' },
      { at: '2026-10-26T01:30:00.000Z', note: null },
    ]);
    expect(await vienna('*/30 * * * *', '2026-10-25T00:00:00Z', 4)).toEqual([
      { at: '2026-10-25T00:30:00.000Z', note: '02:30 comes twice on this day: this is the first' },
      { at: '2026-10-25T01:00:00.000Z', note: '02:00 comes twice on this day: this is the second' },
      { at: '2026-10-25T01:30:00.000Z', note: '02:30 comes twice on this day: this is the second' },
      { at: '2026-10-25T02:00:00.000Z', note: null },
    ]);
  });

  test('ends with the years that can be written', async () => {
    const { status, body } = await preview({ cron: '59 * * * *' }, { from: '9999-12-31T21:30:00Z' });
    expect(status).toBe(200);
    expect(body.next.map(({ at }) => at)).toEqual(['21', '22', '23'].map((hour) => `9999-12-31T${hour}:59:00.000Z`));
  });

  test.each([
    [{ trigger: { cron: '61 * * * *' } }, 'trigger.cron'],
    [{ trigger: { cron: '@daily' }, count: 101 }, 'count'],
    [{ trigger: { cron: '@daily' }, from: 'now' }, 'from'],
    [{}, 'trigger'],
  ])('422 for %j', async (body, path) => {
    const { status, body: problem } = await admin.post<Problem>('/api/v1/schedule/preview', body);
    expect([status, problem.errors[0]?.path]).toEqual([422, path]);
  });
});

describe('GET /processes/{id}/ticks', () => {
  const ticksOf = async (id: string, query = '') =>
    (await admin.get<List<Tick>>(`/api/v1/processes/${id}/ticks?limit=1000${query}`)).body;

  test('overlap: the instant says which run was in its way', async () => {
    const { id } = await define(admin, { action: sh('sleep 3'), triggers: [{ every: '1s' }] });
    const skipped = await eventually('an instant to be skipped', async () =>
      (await ticksOf(id)).items.find(({ outcome }) => outcome === 'skipped'),
    );
    await admin.post(`/api/v1/processes/${id}/disable`, {});
    expect(skipped).toMatchObject({ reason: 'overlap', run: expect.any(String), cause: expect.any(String) });
    expect(skipped!.text).toBe(`Skipped: the run before it, ${skipped!.cause}, had not ended.`);
  });

  test('paused: with the reason; page by page', async () => {
    const { id } = await define(admin, { triggers: [{ every: '1s' }] });
    await admin.post(`/api/v1/processes/${id}/disable`, { reason: 'the disk is replaced' });
    const { items } = await eventually('instants to pass', async () => {
      const list = await ticksOf(id);
      return list.items.filter(({ outcome }) => outcome === 'skipped').length >= 3 && list;
    });
    const { id: me } = (await admin.get<{ id: string }>('/api/v1/me')).body;
    const paused = items.filter(({ outcome }) => outcome === 'skipped');
    for (const each of paused)
      expect(each).toMatchObject({
        ...{ run: null, reason: 'paused', cause: me },
        text: 'Skipped: the process was paused (the disk is replaced).',
      });
    const first = (await admin.get<List<Tick>>(`/api/v1/processes/${id}/ticks?limit=2`)).body;
    expect([first.items, first.next]).toEqual([items.slice(0, 2), items[1]!.at]);
    const cursor = encodeURIComponent(first.next!);
    const second = (await admin.get<List<Tick>>(`/api/v1/processes/${id}/ticks?limit=1&cursor=${cursor}`)).body;
    expect(second.items).toEqual(items.slice(2, 3));
    const to = encodeURIComponent(items[0]!.at);
    expect((await ticksOf(id, `&to=${to}`)).items).toEqual(items.slice(0, 1));
    await admin.call('DELETE', `/api/v1/processes/${id}`);
  });

  test('404 for what there is not', async () => {
    const { status } = await admin.get('/api/v1/processes/01890000-0000-7000-8000-000000000000/ticks');
    expect(status).toBe(404);
  });
});

describe('/pause', () => {
  const none = { paused: false, reason: null, since: null, until: null, by: null };
  const end = () => admin.call('DELETE', '/api/v1/pause');

  test('begins, is read, ends; admins only', async () => {
    expect((await operator.get('/api/v1/pause')).body).toEqual(none);
    expect((await operator.post('/api/v1/pause', { reason: 'x' })).status).toBe(403);
    const { status, body } = await admin.post<object>('/api/v1/pause', { reason: 'network move' });
    try {
      const { id: by } = (await admin.get<{ id: string }>('/api/v1/me')).body;
      const paused = { paused: true, reason: 'network move', since: expect.any(String), until: null, by };
      expect([status, body]).toEqual([200, paused]);
      expect((await operator.get('/api/v1/pause')).body).toEqual(paused);
      expect((await operator.call('DELETE', '/api/v1/pause')).status).toBe(403);
    } finally {
      expect((await end()).body).toEqual(none);
    }
  });

  test.each([
    [{}, 'reason'],
    [{ reason: '' }, 'reason'],
    [{ reason: 'x', until: '2001-01-01T00:00:00Z' }, 'until'],
    [{ reason: 'x', until: 'soon' }, 'until'],
    [{ reason: 'x', typo: 1 }, ''],
  ])('422 for %j', async (body, path) => {
    const before = await headOf(admin);
    const { status, body: problem } = await admin.post<Problem>('/api/v1/pause', body);
    expect([status, problem.errors[0]?.path]).toEqual([422, path]);
    expect(await headOf(admin)).toBe(before);
  });
});

describe('/calendars', () => {
  const freeze = { from: '2099-12-24T00:00:00.000Z', to: '2099-12-27T00:00:00.000Z' };
  const weekend = { cron: '0 0 * * SAT', zone: 'Europe/Vienna', for: '2d' };

  test('defined, listed, revised, named by a process, retired', async () => {
    const body = { name: 'Year’s end', description: 'nothing moves', windows: [freeze] };
    const { status, body: made } = await operator.post<{ id: string; owner: string }>('/api/v1/calendars', body);
    expect([status, made]).toEqual([201, { ...body, id: expect.any(String), owner: expect.any(String) }]);
    expect((await admin.get<List<object>>('/api/v1/calendars')).body.items).toContainEqual(made);
    expect((await admin.post('/api/v1/calendars', { ...body, name: 'YEAR’S END' })).status).toBe(409);
    const path = `/api/v1/calendars/${made.id}`;
    const changed = await admin.call('PATCH', path, { windows: [freeze, weekend] });
    expect([changed.status, changed.body]).toEqual([200, { ...made, windows: [freeze, weekend] }]);
    const stranger = await newcomer(stack, 'other-planner', 'operator');
    expect((await stranger.call('PATCH', path, { description: null })).status).toBe(403);
    const { policies } = await define(operator, { policies: { blackouts: ['Year’s end'] } });
    expect(policies).toEqual({ blackouts: ['Year’s end'] });
    expect((await operator.call('DELETE', path)).status).toBe(204);
    expect((await operator.call('DELETE', path)).status).toBe(404);
    const named = { name: 'x', action: { kind: 'noop' }, policies: { blackouts: ['Year’s end'] } };
    const refused = await operator.post<Problem>('/api/v1/processes', named);
    expect([refused.status, refused.body.errors[0]?.path]).toEqual([422, 'policies.blackouts.0']);
  });

  test.each([
    [{ windows: [freeze] }, 'name'],
    [{ name: 'x', windows: [] }, 'windows'],
    [{ name: 'x', windows: [{}] }, 'windows.0.from'],
    [{ name: 'x', windows: [{ from: freeze.to, to: freeze.from }] }, 'windows.0.to'],
    [{ name: 'x', windows: [{ cron: '0 0 * * SAT' }] }, 'windows.0.for'],
    [{ name: 'x', windows: [{ cron: '0 0 30 2 *', for: '1d' }] }, 'windows.0.cron'],
  ])('422 for %j', async (body, path) => {
    const { status, body: problem } = await admin.post<Problem>('/api/v1/calendars', body);
    expect([status, problem.errors[0]?.path]).toEqual([422, path]);
  });
});
