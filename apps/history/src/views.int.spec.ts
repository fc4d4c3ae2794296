import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  activityOf,
  activityOfNotice,
  foldProcess,
  foldRun,
  foldSource,
  isOver,
  newId,
  process,
  runStatuses,
  type ActivityEvent,
  type ActivitySource,
  type NotificationEvent,
  type ProcessEvent,
  type ProcessRow,
  type RunEvent,
  type RunRow,
  type RunStatus,
  type Trigger,
} from '#domain';
import { handle, rebuild, type StoredEvent } from '#ledger';
import { type Context } from '#service';
import { quickest } from '#testing';
import { bornOf, eventually, metaBy, processOf, request, World } from '../../../libs/testing/src/context.js';
import { projections } from './projections/projections.js';
import { ProcessQueries } from './queries/processes.js';
import { RunQueries } from './queries/runs.js';
import { Views } from './views.service.js';

let world: World;
let contexts: Context[];
let context: Context;
let views: Views;
let other: Views;
let runs: RunQueries;
let processes: ProcessQueries;

beforeAll(async () => {
  world = await World.create();
  contexts = await Promise.all([world.open(), world.open()]);
  context = contexts[0]!;
  [views, other] = contexts.map((each) => new Views(each)) as [Views, Views];
  views.onApplicationBootstrap();
  other.onApplicationBootstrap();
  runs = new RunQueries(context, views);
  processes = new ProcessQueries(context, views);
});
afterAll(async () => {
  await Promise.all([views.onApplicationShutdown(), other.onApplicationShutdown()]);
  await world.close();
});

interface Entry {
  run: string | null;
}

const meta = { actor: 'ann', correlationId: newId() };
let numbers = 10_000;
const owners = ['ann', 'bob', 'cy'];

/** The same events in every test run. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => (state = (state * 48_271) % 2_147_483_647) % sides;
}

const at = () => new Date().toISOString();
const ending = (attempt: number) => ({ attempt, at: at(), exitCode: null, signal: null, output: null });

function anyRunEvent(roll: (sides: number) => number): RunEvent {
  const attempt = 1 + roll(3);
  const events: (() => RunEvent)[] = [
    () => ({ type: 'RunHeld', data: { reason: 'held', until: null, at: at() } }),
    () => ({ type: 'RunSkipped', data: { reason: 'skipped', cause: null, at: at() } }),
    () => ({ type: 'RunStarted', data: { attempt, epoch: '1', executor: 'x', server: `host-${roll(3)}`, at: at() } }),
    () => ({ type: 'RunProgressed', data: { attempt, at: at(), progress: roll(100), ops: roll(9), message: 'ü’€' } }),
    () => ({ type: 'RunCancelRequested', data: { by: 'ann', at: at(), reason: null } }),
    () => ({ type: 'RunSucceeded', data: { ...ending(attempt), exitCode: 0 } }),
    () => ({ type: 'RunFailed', data: { ...ending(attempt), exitCode: 3, reason: 'exit code 3' } }),
    () => ({ type: 'RunTimedOut', data: { ...ending(attempt), signal: 'SIGKILL', reason: 'late' } }),
    () => ({ type: 'RunCancelled', data: { ...ending(attempt), by: 'ann', reason: null } }),
    () => ({ type: 'RunLost', data: { attempt, at: at(), reason: 'lost' } }),
    () => ({ type: 'RunRetryScheduled', data: { attempt, dueAt: at(), at: at() } }),
    () => ({ type: 'RunLateReported', data: { attempt, epoch: '1', at: at(), outcome: 'exit code 0' } }),
    () => ({ type: 'RunForceCompleted', data: { status: 'succeeded', attempt, by: 'ann', at: at(), replaces: [] } }),
    () => ({ type: 'RunPurged', data: { by: 'ann', at: at() } }),
  ];
  return events[roll(events.length)]!();
}

function anyProcessEvent(roll: (sides: number) => number, name: string, revision: number): ProcessEvent {
  const by = { by: 'ann', at: at() };
  const settings = { name: `${name} ${roll(9)}`, description: null, action: { kind: 'noop' as const } };
  const events: ProcessEvent[] = [
    { type: 'ProcessRevised', data: { ...settings, triggers: [], policies: {}, revision, ...by } },
    { type: 'ProcessDisabled', data: { reason: 'r', until: null, ...by } },
    { type: 'ProcessEnabled', data: by },
    { type: 'ProcessRetired', data: by },
  ];
  return events[roll(events.length)]!;
}

function anyNotice(roll: (sides: number) => number, run: string): NotificationEvent {
  const process = roll(3) ? processOf('p1').id : null;
  const what = { channel: 'ntfy', title: 'Task Complete', at: at(), attempts: 1, answer: '200' };
  return {
    type: roll(2) ? 'NotificationSent' : 'NotificationFailed',
    data: { run, process, owner: owners[roll(3)]!, ...what },
  };
}

async function makeHistory(events: number): Promise<void> {
  const roll = dice(7);
  const append = (stream: string, event: RunEvent | ProcessEvent | NotificationEvent) =>
    context.ledger.append({ stream, expected: null, events: [event], meta: metaBy() });
  const streams: string[] = [];
  let pending: Promise<unknown>[] = [];
  for (let i = 0; i < events; i++) {
    if (streams.length === 0 || roll(6) === 0) {
      const id = newId();
      const owner = owners[roll(3)]!;
      const data = { ...bornOf({ owner, process: processOf(`p${roll(4)}`) }), priority: 5, requestedAt: at() };
      streams.push(`run-${id}`);
      pending.push(append(`run-${id}`, { type: 'RunRequested', data }));
    } else if (roll(20) === 0) {
      const id = newId();
      const settings = { name: `p${i}`, description: 'd', action: { kind: 'noop' as const }, triggers: [] };
      const data = { ...settings, policies: {}, number: ++numbers, owner: 'ann', by: 'ann', at: at() };
      streams.push(`process-${id}`);
      pending.push(append(`process-${id}`, { type: 'ProcessDefined', data }));
    } else if (roll(25) === 0) {
      const run = streams.find((stream) => stream.startsWith('run-'))!.slice('run-'.length);
      pending.push(append(`notification-${newId()}`, anyNotice(roll, run)));
    } else {
      const stream = streams[roll(streams.length)]!;
      const event = stream.startsWith('run-') ? anyRunEvent(roll) : anyProcessEvent(roll, stream.slice(0, 12), i);
      pending.push(append(stream, event));
    }
    if (pending.length < 200) continue;
    await Promise.all(pending);
    pending = [];
  }
  await Promise.all(pending);
}

async function everything(): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (let page: StoredEvent[]; (page = await context.ledger.readFrom(all.at(-1)?.position ?? '0', 2_000)).length > 0;)
    all.push(...page);
  return all;
}

/** One event after the other, in the order of the ledger: nothing of the projections' batches. */
async function folded() {
  const runRows = new Map<string, RunRow>();
  const processRows = new Map<string, ProcessRow | null>();
  for (const event of await everything()) {
    const id = event.stream.slice(event.stream.indexOf('-') + 1);
    if (event.stream.startsWith('run-')) {
      const row = foldRun(runRows.get(id) ?? null, id, event as unknown as RunEvent);
      if (row) runRows.set(id, row);
      else runRows.delete(id);
    } else if (event.stream.startsWith('process-'))
      processRows.set(id, foldProcess(processRows.get(id) ?? null, id, event as unknown as ProcessEvent));
  }
  return { runRows, processRows };
}

const caughtUp = async () => {
  const head = await context.ledger.head();
  await eventually(async () => {
    const text = 'select from checkpoint where position >= $1';
    return (await context.pool.query(text, [head])).rowCount === projections.length;
  });
};

async function rowsOf<Row>(table: string): Promise<Map<string, Row>> {
  const { rows } = await context.pool.query<{ id: string; row: Row }>(`select id, row::json from ${table}`);
  return new Map(rows.map(({ id, row }) => [id, row]));
}

async function checksums(): Promise<unknown[]> {
  const sums = projections
    .flatMap(({ tables }) => tables)
    .map(async (table) => {
      const text = `select '${table}' as name, count(*)::int as rows, md5(string_agg(t::text, '|' order by t::text)) as sum from ${table} t`;
      return (await context.pool.query<object>(text)).rows[0];
    });
  return Promise.all(sums);
}

describe('four thousand random events, two instances that follow', () => {
  beforeAll(async () => {
    await makeHistory(4_000);
    await caughtUp();
  });

  test('each view is what the events fold to', async () => {
    const { runRows, processRows } = await folded();
    expect(runRows.size).toBeGreaterThan(400);
    const { rows } = await context.pool.query(`select from event where type = 'RunPurged'`);
    expect(rows.length).toBeGreaterThan(50);
    expect(processRows.size).toBeGreaterThan(50);
    expect(await rowsOf('run_view')).toEqual(runRows);
    expect(await rowsOf('process_view')).toEqual(processRows);
  });

  test('the counts are the rows counted, for one owner and for all', async () => {
    const { rows } = await context.pool.query<{ owner: string; status: RunStatus; n: number }>(
      'select owner, status, count(*)::int as n from run_view group by 1, 2',
    );
    for (const owner of [undefined, ...owners]) {
      const { value } = await runs.count({ data: { ...(owner ? { owner } : {}) }, meta });
      for (const status of runStatuses) {
        const mine = rows.filter((row) => row.status === status && (!owner || row.owner === owner));
        expect([owner, status, value[status]]).toEqual([owner, status, mine.reduce((sum, { n }) => sum + n, 0)]);
      }
    }
  });

  test('columns that are searched say what the row says', async () => {
    const { rows } = await context.pool
      .query(`select id from run_view where status is distinct from row::json->>'status'
      or owner is distinct from row::json->>'owner' or server is distinct from row::json->>'server'
      or started_at is distinct from (row::json->>'startedAt')::timestamptz or number is distinct from (row::json->>'number')::int`);
    expect(rows).toEqual([]);
  });

  test('the activity log has an entry for each event that is news, and its counts are the entries counted', async () => {
    const sources = new Map<string, ActivitySource | null>();
    const entries = new Map<string, object>();
    for (const { position, stream, ...event } of await everything()) {
      const id = stream.slice(stream.indexOf('-') + 1);
      if (stream.startsWith('notification-')) {
        const notice = event as unknown as NotificationEvent;
        const entry = activityOfNotice(notice);
        const { owner, process, run } = notice.data;
        if (entry)
          entries.set(position, {
            position,
            owner,
            process,
            run,
            type: entry.type,
            message: entry.message,
            metadata: JSON.stringify(entry.metadata),
          });
        continue;
      }
      const told = event as unknown as ActivityEvent;
      const source = told.type === 'RunPurged' ? null : foldSource(sources.get(id) ?? null, id, told);
      sources.set(id, source);
      if (told.type === 'RunPurged')
        entries.forEach((entry, key) => (entry as Entry).run === id && entries.delete(key));
      const activity = source && activityOf(source, told);
      if (!activity) continue;
      const { type, message, metadata } = activity;
      const run = stream.startsWith('run-') ? id : null;
      const { owner, process } = source;
      entries.set(position, { position, owner, process, run, type, message, metadata: JSON.stringify(metadata) });
    }
    const text = 'select position::text, owner, process, run, type, message, metadata from activity_view';
    const { rows } = await context.pool.query<Entry & { position: string }>(text);
    expect(rows.length).toBeGreaterThan(500);
    expect(new Map(rows.map((row) => [row.position, row]))).toEqual(entries);
    const counted = 'select owner, type, count(*)::int as entries from activity_view group by 1, 2 order by 1, 2';
    const kept = 'select owner, type, entries::int from activity_count order by 1, 2';
    expect((await context.pool.query(kept)).rows).toEqual((await context.pool.query(counted)).rows);
  });

  test('rebuilt while more comes in: equal to the live one, byte for byte', async () => {
    const more = makeHistory(500);
    for (const projection of projections) await rebuild(context.ledger, projection, { batch: 300 });
    await more;
    await caughtUp();
    const live = await checksums();
    for (const projection of projections) await rebuild(context.ledger, projection);
    await caughtUp();
    expect(await checksums()).toEqual(live);
    expect(await rowsOf('run_view')).toEqual((await folded()).runRows);
  });
});

describe('a question that names a position', () => {
  test('waits until the view has passed it', async () => {
    let inVain = 0;
    for (let i = 0; i < 30; i++) {
      const id = await request(context, { owner: 'dora' });
      const after = await context.ledger.head();
      const { value, at: seen } = await runs.get({ data: { id, after }, meta });
      if (BigInt(seen) < BigInt(after)) inVain++;
      else expect(value).toMatchObject({ id, status: 'queued' });
    }
    // A machine that stalls may make it give up now and then.
    expect(inVain).toBeLessThan(5);
    const data = { owner: 'dora', limit: 100 };
    await caughtUp();
    expect((await runs.list({ data, meta })).value.items).toHaveLength(30);
  });

  test('gives up before the asker does, and leaves nothing behind', async () => {
    const after = String(BigInt(await context.ledger.head()) + 1_000_000n);
    const inVain = async () => {
      const before = performance.now();
      const { value } = await runs.list({ data: { owner: 'dora', limit: 3, after }, meta });
      expect(performance.now() - before).toBeGreaterThanOrEqual(1_400);
      expect(value.items).toHaveLength(3);
    };
    expect(await quickest(1_950, inVain, 10)).toBeLessThan(1_950);
    expect(Reflect.get(views, 'waiters')).toEqual([]);
  });
});

describe('pages', () => {
  async function pagesOf(filter: object, between: () => Promise<unknown> = async () => {}): Promise<RunRow[]> {
    const items: RunRow[] = [];
    for (let cursor: string | undefined, first = true; first || cursor; first = false) {
      const { value } = await runs.list({ data: { limit: 17, ...filter, ...(cursor ? { cursor } : {}) }, meta });
      items.push(...value.items);
      cursor = value.next ?? undefined;
      await between();
    }
    return items;
  }

  test.each([
    ['everything', {}, () => true],
    ['by status', { status: ['failed'] }, ({ status }: RunRow) => status === 'failed'],
    ['by statuses', { status: runStatuses.filter(isOver) }, ({ status }: RunRow) => isOver(status)],
    ['by owner', { owner: 'bob' }, ({ owner }: RunRow) => owner === 'bob'],
    ['by process', { process: processOf('p1').id }, ({ process }: RunRow) => process?.name === 'p1'],
    ['by server', { server: 'host-1' }, ({ server }: RunRow) => server === 'host-1'],
    ['that have started', { started: true }, ({ startedAt }: RunRow) => startedAt !== null],
  ])('%s: no run twice, none left out, while new ones come', async (_, filter, belongs) => {
    await caughtUp();
    const expected = [...(await rowsOf<RunRow>('run_view')).values()].filter(belongs).map(({ id }) => id);
    expect(expected.length).toBeGreaterThan(17);
    const items = await pagesOf(filter, () => request(context, { owner: 'bob', process: processOf('p1') }));
    const got = items.map(({ id }) => id);
    expect(new Set(got).size).toBe(got.length);
    expect([...got].sort()).toEqual([...expected].sort());
  });

  test('of processes, both orders', async () => {
    const all = [...(await rowsOf<ProcessRow>('process_view')).values()].filter(({ retired }) => !retired);
    for (const order of ['number', 'newest'] as const) {
      const got: number[] = [];
      for (let cursor: string | undefined, first = true; first || cursor; first = false) {
        const { value } = await processes.list({ data: { limit: 7, order, ...(cursor ? { cursor } : {}) }, meta });
        got.push(...value.items.map(({ number }) => number));
        cursor = value.next ?? undefined;
      }
      expect([...got].sort((a, b) => a - b)).toEqual(all.map(({ number }) => number).sort((a, b) => a - b));
      if (order === 'number') expect(got).toEqual([...got].sort((a, b) => a - b));
    }
  });

  test.each(['x', '-1', '1.5', '9'.repeat(19), "1'"])('a cursor that no page gave is refused: %s', async (cursor) => {
    const ask = (data: object) => runs.list({ data: { limit: 5, ...data, cursor }, meta });
    await expect(ask({})).rejects.toMatchObject({ kind: 'malformed', code: 'BAD_CURSOR' });
    await expect(ask({ started: true })).rejects.toMatchObject({ kind: 'malformed' });
    const data = { limit: 5, order: 'number' as const, cursor };
    await expect(processes.list({ data, meta })).rejects.toMatchObject({ kind: 'malformed' });
  });

  test('numbers that no column holds find nothing', async () => {
    const huge = 99_999_999_999;
    expect((await runs.byNumber({ data: { number: huge }, meta })).value).toBeNull();
    expect((await processes.get({ data: { number: huge }, meta })).value).toBeNull();
    expect((await runs.list({ data: { limit: 5, processNumber: huge }, meta })).value.items).toEqual([]);
    const data = { limit: 5, order: 'number' as const, cursor: String(huge) };
    expect((await processes.list({ data, meta })).value.items).toEqual([]);
    const started = { limit: 5, started: true, cursor: `2000-01-01T00:00:00.000Z_${huge}` };
    expect((await runs.list({ data: started, meta })).value.items).toEqual([]);
  });
});

test('a trigger whose zone there is no more keeps no list from being shown', async () => {
  const defined = async (triggers: Trigger[]) => {
    const settings = {
      name: newId(),
      description: null,
      action: { kind: 'noop' as const },
      policies: {},
      owner: 'ann',
    };
    const data = { ...settings, number: ++numbers, triggers };
    const order = { type: 'DefineProcess' as const, meta: metaBy(), data };
    return handle(context.ledger, process, newId(), order, { creating: true });
  };
  const gone = { cron: '0 2 * * *', zone: 'Mars/Olympus' };
  const alone = await defined([gone]);
  const { position: after, stream } = await defined([gone, { at: '2099-01-01T00:00:00.000Z' }]);
  const filter = { order: 'newest' as const, limit: 100, after };
  const { items } = (await processes.list({ data: filter, meta })).value;
  const nextOf = (of: string) => items.find(({ id }) => `process-${id}` === of)?.nextRunAt;
  expect([nextOf(alone.stream), nextOf(stream)]).toEqual([null, '2099-01-01T00:00:00.000Z']);
});
