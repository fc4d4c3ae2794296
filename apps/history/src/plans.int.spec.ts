import { type PoolClient } from 'pg';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { newId, type RunRow } from '#domain';
import { type Context } from '#service';
import { processOf, World } from '../../../libs/testing/src/context.js';
import { RunQueries } from './queries/runs.js';
import { Views } from './views.service.js';

let world: World;
let context: Context;
let runs: RunQueries;
const asked: { text: string; values: unknown[] }[] = [];

/** Fifty thousand runs of 50 processes and 20 owners; most succeeded, a few run. */
const fill = `insert into run_view (id, born, number, process_id, process_number, status, owner, batch, server, requested_at, started_at, row)
  select gen_random_uuid(), n, n, md5('p' || n % 50)::uuid, n % 50,
    case when n % 1000 = 0 then 'running' when n % 10 = 0 then 'failed' else 'succeeded' end,
    'owner-' || n % 20, null, 'host', now() - (50001 - n) * interval '1 s', now() - (50001 - n) * interval '1 s',
    json_build_object('number', n, 'startedAt', now() - (50001 - n) * interval '1 s', 'filler', repeat('x', 300))
  from generate_series(1, 50000) n`;

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
  await context.pool.query(fill);
  await context.pool.query(`update run_view set process_id = '${processOf('p').id}' where process_number = 7`);
  await context.pool.query('vacuum analyze run_view');
  runs = new RunQueries(context, new Views(context));
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

async function planOf(filter: object): Promise<{ nodes: Plan[]; items: RunRow[]; ms: number }> {
  asked.length = 0;
  const { value } = await runs.list({ data: { limit: 50, ...filter }, meta: { actor: 'ann', correlationId: newId() } });
  const question = asked.find(({ text }) => /run_view/.test(text))!;
  const { rows } = await context.pool.query<{ 'QUERY PLAN': { Plan: Plan; 'Execution Time': number }[] }>(
    `explain (analyze, format json) ${question.text}`,
    question.values,
  );
  const [top] = rows[0]!['QUERY PLAN'];
  const flat = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flat)];
  return { nodes: flat(top!.Plan), items: value.items, ms: top!['Execution Time'] };
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
