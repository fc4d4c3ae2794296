/** The one list of what must hold after any round of faults, whatever they were. */
import { type Pool } from 'pg';
import { Ledger, rebuild, verify } from '#ledger';
import { projections } from '../../apps/history/src/projections/projections.js';
import { type RunShape } from './api.js';
import { marksOf } from './commands.js';
import { grouped, logOf, tell, type LedgerEvent } from './fold.js';
import { type Order } from './load.js';
import { processesOf } from './processes.js';
import { check, figure, within, type Scene } from './scene.js';
import { type Stack } from './stack.js';

export async function checkInvariants(stack: Stack, orders: readonly Order[]): Promise<void> {
  const { scene, pool } = stack;
  await isQuiet(stack);
  const events = await allEvents(pool);
  const streams = grouped(events, ({ stream }) => stream);
  const runs = new Map([...streams].filter(([stream]) => stream.startsWith('run-')));
  figure(scene, `${events.length} events, ${runs.size} runs, ${orders.length} orders by key`);
  await isDense(scene, pool);
  await chainHolds(scene, pool);
  nothingLostNorDoubled(scene, runs, orders);
  attemptsAreHonest(scene, runs);
  nothingRanTwice(stack, runs);
  await viewsTellTheSame(stack, runs);
  await logTellsTheSame(stack, streams);
  await viewsEqualRebuild(scene, pool);
  await nothingLeft(stack);
}

/** Everything that was accepted has come to its end, and the views have seen it. */
async function isQuiet({ scene, pool }: Stack): Promise<void> {
  let left = -1;
  const quiet = await within(120_000, async () => {
    left = Number((await pool.query<{ n: string }>('select count(*) as n from queue')).rows[0]!.n);
    return left === 0;
  });
  check(scene, 'every accepted run came to an end', quiet, quiet ? '' : `${left} left in the queue`);
  const caught = await within(60_000, async () => {
    const text = `select count(*) as n from checkpoint where name = any($1) and position = (select max(position) from event)`;
    const { rows } = await pool.query<{ n: string }>(text, [projections.map(({ name }) => name)]);
    return Number(rows[0]!.n) === projections.length;
  });
  check(scene, 'the views caught up with the ledger', caught);
}

export async function allEvents(pool: Pool): Promise<LedgerEvent[]> {
  const all: LedgerEvent[] = [];
  for (let after = '0'; ;) {
    const text = `select position::text, stream, version, type, data, (extract(epoch from recorded_at) * 1000)::float8 as recorded
      from event where position > $1 order by event.position limit 20000`;
    const { rows } = await pool.query<LedgerEvent>(text, [after]);
    all.push(...rows);
    const last = rows.at(-1);
    if (!last) return all;
    after = last.position;
  }
}

export async function isDense(scene: Scene, pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ n: number; gaps: number; jumps: number; twice: number }>(`
    select count(*)::int as n, count(*) filter (where position <> place)::int as gaps,
      count(*) filter (where version <> turn)::int as jumps, count(*)::int - count(distinct (stream, id))::int as twice
    from (select position, version, stream, id, row_number() over (order by position) as place,
      row_number() over (partition by stream order by position) as turn from event) e`);
  const { n, gaps, jumps, twice } = rows[0]!;
  check(scene, 'positions are dense from 1', gaps === 0, `${n} events, ${gaps} out of place`);
  check(scene, 'every stream is in order', jumps === 0, `${jumps} out of turn`);
  check(scene, 'no event is there twice', twice === 0, `${twice} doubled`);
}

export async function chainHolds(scene: Scene, pool: Pool): Promise<void> {
  const { ok, checked, firstBad } = await verify(pool);
  check(scene, 'the chain verifies', ok, ok ? `${checked} events` : JSON.stringify(firstBad));
}

function nothingLostNorDoubled(scene: Scene, runs: ReadonlyMap<string, LedgerEvent[]>, orders: readonly Order[]): void {
  const byKey = new Map(orders.map((order) => [order.key, order]));
  const births = [...runs.values()].map(([first]) => first!);
  const told = new Map<string, number>();
  for (const { data } of births) {
    const name = data['name'] as string;
    if (byKey.has(name)) told.set(name, (told.get(name) ?? 0) + 1);
  }
  const acknowledged = orders.filter(({ run }) => run !== null);
  const lost = acknowledged.filter(({ run }) => !runs.has(`run-${run}`));
  const early = acknowledged.filter(({ run, position }) => {
    const birth = runs.get(`run-${run}`)?.[0];
    return birth && position !== null && BigInt(birth.position) > BigInt(position);
  });
  const doubled = [...told].filter(([, times]) => times > 1);
  const renamed = orders.filter(({ named }) => named.size > 1);
  const unborn = births.filter(({ type }) => type !== 'RunRequested');
  check(
    scene,
    'nothing acknowledged is missing',
    lost.length === 0,
    `${acknowledged.length} acknowledged, ${lost.length} lost`,
  );
  check(scene, 'an answer names no position before its event', early.length === 0, `${early.length} too early`);
  check(scene, 'no key made two runs', doubled.length === 0, `${doubled.length} doubled`);
  check(scene, 'a key is always answered with the same run', renamed.length === 0, `${renamed.length} changed`);
  check(scene, 'every run begins with its request', unborn.length === 0, unborn.map(({ stream }) => stream).join(' '));
}

/** Attempts count from 1, each begins once with an epoch of its own, each ends once, and nothing changes an ended run. */
function attemptsAreHonest(scene: Scene, runs: ReadonlyMap<string, LedgerEvent[]>): void {
  const epochs = new Set<string>();
  const bad: string[] = [];
  const ends = ['RunSucceeded', 'RunFailed', 'RunTimedOut', 'RunCancelled', 'RunLost', 'RunSkipped'];
  for (const [stream, events] of runs) {
    let attempt = 0;
    let open = true;
    for (const { type, data } of events) {
      if (type === 'RunLateReported') continue;
      if (type === 'RunRetryScheduled') open = true;
      else if (!open) bad.push(`${stream}: ${type} after its end`);
      if (type === 'RunStarted') {
        const { attempt: number, epoch } = data as { attempt: number; epoch: string };
        if (number !== ++attempt || epochs.has(epoch)) bad.push(`${stream}: attempt ${number}, epoch ${epoch}`);
        epochs.add(epoch);
      }
      if (ends.includes(type)) open = false;
    }
    if (open) bad.push(`${stream}: no end`);
  }
  check(scene, 'attempts begin and end once, in their order', bad.length === 0, bad.slice(0, 5).join('; '));
}

function nothingRanTwice(stack: Stack, runs: ReadonlyMap<string, LedgerEvent[]>): void {
  const { scene } = stack;
  const marks = marksOf(stack);
  const times = grouped(marks, ({ run, attempt }) => `${run} ${attempt}`);
  const twice = [...times].filter(([, list]) => list.length > 1).map(([key]) => key);
  const uncalled = marks.filter(
    ({ run, attempt }) =>
      !runs.get(`run-${run}`)?.some(({ type, data }) => type === 'RunStarted' && data['attempt'] === attempt),
  );
  const idle = [...runs].filter(([stream, events]) => {
    const action = events[0]!.data['action'] as { kind: string; shell?: string };
    const success = events.find(({ type }) => type === 'RunSucceeded');
    const marking = action.kind === 'command' && action.shell?.includes('$RUNLEDGER_ATTEMPT $$');
    return success && marking && !times.has(`${stream.slice(4)} ${String(success.data['attempt'])}`);
  });
  check(scene, 'nothing ran twice in one attempt', twice.length === 0, `${marks.length} starts, ${twice.length} twice`);
  check(scene, 'nothing ran that the ledger did not start', uncalled.length === 0, `${uncalled.length} uncalled`);
  check(scene, 'what is said to have succeeded did run', idle.length === 0, `${idle.length} did not`);
}

async function viewsTellTheSame(stack: Stack, runs: ReadonlyMap<string, LedgerEvent[]>): Promise<void> {
  const { scene, api } = stack;
  const listed = new Map((await api.runs()).map((row) => [`run-${row.id}`, row]));
  const wrong: string[] = [];
  for (const [stream, events] of runs) {
    const row = listed.get(stream);
    const [mine, theirs] = [JSON.stringify(tell(events)), row ? JSON.stringify(shown(row)) : 'not listed'];
    if (mine !== theirs) wrong.push(`${stream}: ${mine} / ${theirs}`);
  }
  const stray = [...listed.keys()].filter((stream) => !runs.has(stream));
  check(
    scene,
    'the views tell what an independent fold tells',
    wrong.length + stray.length === 0,
    `${listed.size} rows, ${wrong.length} differ, ${stray.length} from nowhere ${wrong[0] ?? ''}`,
  );
}

async function logTellsTheSame({ scene, pool }: Stack, streams: ReadonlyMap<string, LedgerEvent[]>): Promise<void> {
  const told = [...streams].filter(([stream]) => /^(run|process)-/.test(stream));
  const mine = told.flatMap(([, events]) => logOf(events)).sort();
  const { rows } = await pool.query<{ entry: string }>(`select position || ' ' || type as entry from activity_view`);
  const theirs = rows.map(({ entry }) => entry).sort();
  const wrong = mine.findIndex((entry, i) => entry !== theirs[i]);
  const same = mine.length === theirs.length && wrong < 0;
  const where = same ? '' : `: ${mine[wrong] ?? 'none'} / ${theirs[wrong < 0 ? mine.length : wrong] ?? 'none'}`;
  check(scene, 'the activity log tells it too', same, `${theirs.length} entries of ${mine.length}${where}`);
}

function shown(row: RunShape) {
  const { name, status, attempt, startedAt, finishedAt, exitCode, signal, output, ops, progress, message } = row;
  const { bytes = null, sha256 = null } = output ?? {};
  return { name, status, attempt, startedAt, finishedAt, exitCode, signal, bytes, sha256, ops, progress, message };
}

/** One text for all rows of a table, in the order of all their columns. */
export async function checksum(pool: Pool, table: string): Promise<string> {
  const text = `select count(*) || ' rows ' || coalesce(md5(string_agg(t::text, e'\\n' order by t::text)), '') as sum from ${table} t`;
  return (await pool.query<{ sum: string }>(text)).rows[0]!.sum;
}

async function viewsEqualRebuild(scene: Scene, pool: Pool): Promise<void> {
  const ledger = new Ledger(pool);
  for (const projection of projections) {
    const sums = () => Promise.all(projection.tables.map((table) => checksum(pool, table)));
    const live = await sums();
    await rebuild(ledger, projection);
    const anew = await sums();
    check(
      scene,
      `${projection.name} equals its rebuild`,
      String(live) === String(anew),
      `${String(live)} / ${String(anew)}`,
    );
  }
}

async function nothingLeft(stack: Stack): Promise<void> {
  const gone = await within(20_000, () => processesOf(stack).length === 0, 250);
  const left = gone ? [] : processesOf(stack);
  check(
    stack.scene,
    'no process of any run is left',
    gone,
    left
      .slice(0, 5)
      .map(({ pid, command }) => `${pid} ${command}`)
      .join('; '),
  );
}
