import { type PoolClient } from 'pg';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId, type RunRow } from '#domain';
import { type Context } from '#service';
import { processOf, World } from '../../../libs/testing/src/context.js';
import { ActivityQueries } from './queries/activity.js';
import { RunQueries } from './queries/runs.js';
import { Views } from './views.service.js';

let world: World;
let context: Context;
let runs: RunQueries;
let activity: ActivityQueries;
const asked: { text: string; values: unknown[] }[] = [];

/** Fifty thousand runs of 50 processes and 20 owners; most succeeded, a few run. */
const fill = `insert into run_view (id, born, number, process_id, process_number, status, owner, batch, server, requested_at, started_at, row)
  select gen_random_uuid(), n, n, md5('p' || n % 50)::uuid, n % 50,
    case when n % 1000 = 0 then 'running' when n % 10 = 0 then 'failed' else 'succeeded' end,
    'owner-' || n % 20, null, 'host', now() - (50001 - n) * interval '1 s', now() - (50001 - n) * interval '1 s',
    json_build_object('number', n, 'startedAt', now() - (50001 - n) * interval '1 s', 'filler', repeat('x', 300))
  from generate_series(1, 50000) n`;

/** Fifty thousand entries of 20 owners; few are of a retry. */
const fillActivity = `insert into activity_view (position, owner, type, process, run, at, message, metadata)
  select n, 'owner-' || n % 20, case when n % 500 = 0 then 'task_retry' when n % 2 = 0 then 'task_start' else 'task_complete' end,
    gen_random_uuid(), gen_random_uuid(), now(), repeat('x', 60), '{}'
  from generate_series(1, 50000) n`;

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
  await context.pool.query(fill);
  await context.pool.query(`update run_view set process_id = '${processOf('p').id}' where process_number = 7`);
  await context.pool.query(fillActivity);
  await context.pool.query('vacuum analyze run_view, activity_view');
  runs = new RunQueries(context, new Views(context));
  activity = new ActivityQueries(context, new Views(context));
  context.pool.on('acquire', spy);
});
afterAll(() => world.close());

const spied = new WeakSet<PoolClient>();

/** Writes down what is asked over a connection. */
function spy(client: PoolClient): void {
  if (spied.has(client)) return;
  spied.add(client);
  const ask = client.query.bind(client) as (...args: unknown[]) => unknown;
  const heard = (...args: unknown[]) => {
    const [first, values] = args as [string | { text: string; values?: unknown[] }, unknown[] | undefined];
    if (typeof first === 'string') asked.push({ text: first, values: values ?? [] });
    else asked.push({ text: first.text, values: first.values ?? values ?? [] });
    return ask(...args);
  };
  Object.assign(client, { query: heard });
}

interface Plan {
  'Node Type': string;
  'Index Name'?: string;
  'Rows Removed by Filter'?: number;
  'Actual Rows': number;
  Plans?: Plan[];
}

const meta = { actor: 'ann', correlationId: newId() };

async function planOf(filter: object): Promise<{ nodes: Plan[]; items: RunRow[] }> {
  asked.length = 0;
  const { value } = await runs.list({ data: { limit: 50, ...filter }, meta });
  return { nodes: await plansOf('run_view'), items: value.items };
}

/** Of what was asked last of this table. */
async function plansOf(table: string): Promise<Plan[]> {
  const question = asked.find(({ text }) => text.includes(table))!;
  const { rows } = await context.pool.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(
    `explain (analyze, format json) ${question.text}`,
    question.values,
  );
  const [top] = rows[0]!['QUERY PLAN'];
  const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];
  return flat(top!.Plan);
}

test.each([
  ['the newest page', {}, 'run_view_born'],
  ['a page further down', { cursor: '20000' }, 'run_view_born'],
  ['by a rare status', { status: ['running'] }, 'run_view_status'],
  ['by a rare status, further down', { status: ['running'], cursor: '30000' }, 'run_view_status'],
  ['by process', { process: processOf('p').id }, 'run_view_process'],
  ['by owner', { owner: 'owner-3', cursor: '30000' }, 'run_view_owner|run_view_born'],
  ['of a process in the order of start', { processNumber: 8, started: true }, 'run_view_started'],
])('%s: by an index, without sorting or reading what is not shown', async (_, filter, index) => {
  const { nodes, items } = await planOf(filter);
  expect(items.length).toBeGreaterThan(19);
  expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan');
  expect(nodes.map((node) => node['Node Type'])).not.toContain('Sort');
  const scan = nodes.find((node) => node['Index Name'] !== undefined);
  expect(scan?.['Index Name']).toMatch(new RegExp(`^(${index})$`));
  expect(scan?.['Rows Removed by Filter'] ?? 0).toBeLessThanOrEqual(2_000);
});

test.each([
  ['the newest page', {}, 'activity_view_pkey'],
  ['of an owner', { owner: 'owner-3' }, 'activity_view_owner|activity_view_pkey'],
  ['of a rare type', { type: 'task_retry' }, 'activity_view_type'],
  [
    'of an owner and a type',
    { owner: 'owner-3', type: 'task_complete' },
    'activity_view_owner(_type)?|activity_view_pkey',
  ],
  ['of an owner, further down', { owner: 'owner-3', offset: 500 }, 'activity_view_owner|activity_view_pkey'],
])('the activity log, %s: by an index, without sorting or reading what is not shown', async (_, filter, index) => {
  asked.length = 0;
  const { value } = await activity.list({ data: { limit: 50, offset: 0, ...filter }, meta });
  expect(value.entries).toHaveLength(50);
  const nodes = await plansOf('from activity_view');
  expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan');
  expect(nodes.map((node) => node['Node Type'])).not.toContain('Sort');
  const scan = nodes.find((node) => node['Index Name'] !== undefined);
  expect(scan?.['Index Name']).toMatch(new RegExp(`^(${index})$`));
  expect(scan?.['Rows Removed by Filter'] ?? 0).toBeLessThanOrEqual(12_000);
});
