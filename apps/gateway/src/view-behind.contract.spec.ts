import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { adminOf, eventually, startStack, type Client, type Stack } from '#testing';

interface Batch {
  id: string;
  total: number;
  finished: boolean;
  counts: Record<string, number>;
}

const never = { scheduled_at: '2150-01-01T00:00:00Z' };
const missing = '01890000-0000-7000-8000-000000000000';
const native = '/api/v1/batches';
const jobs = '/api/v1/job-batches';

let stack: Stack;
let admin: Client;
let database: pg.Client;
beforeAll(async () => {
  stack = await startStack(topology, { RUNLEDGER_ANSWER_SECONDS: '2' });
  admin = await adminOf(stack);
  database = new pg.Client({ connectionString: stack.databaseUrl });
  await database.connect();
}, 90_000);
afterAll(async () => {
  await database.end();
  await stack.stop();
}, 60_000);

/** While readers read, nobody writes a batch into the view: it stands where it is. */
const holdView = () => database.query('begin; lock table batch_view in exclusive mode');

test('what is accepted is answered as it is, though no view knows of it; until one does, it is not said to be missing', async () => {
  await holdView();
  const runs = [{ action: { kind: 'noop' } }, { name: 'second', action: { kind: 'noop' } }];
  const made = await admin.post<Batch>(native, { name: 'both', runs });
  expect([made.status, made.body.total, made.body.finished, made.body.counts['succeeded']]).toEqual([202, 2, true, 2]);
  const list = [
    { name: 'first', command: ['a', 'b'], priority: 7, payload: { n: 1 }, env: { A: '1', A_TOKEN: 'x' }, ...never },
    { command: ['c'], queue: 'gpu', working_dir: '/tmp', ...never },
  ];
  const submitted = await admin.post<{ id: string; jobs: { id: string }[] }>(jobs, { name: 'later', jobs: list });
  expect([submitted.status, submitted.body.jobs.length]).toEqual([202, 2]);
  const paths = [`${native}/${made.body.id}`, `${jobs}/${submitted.body.id}`];
  for (const path of [...paths, `${native}/${missing}`, `/api/v1/runs/${submitted.body.jobs[0]!.id}`]) {
    expect([path, (await admin.get(path)).status]).toEqual([path, 503]);
  }
  await database.query('commit');
  await eventually('the view to come', async () => (await admin.get(paths[1]!)).status === 200);
  expect((await admin.get(paths[0]!)).body).toEqual(made.body);
  expect((await admin.get(paths[1]!)).body).toEqual(submitted.body);
  expect((await admin.get(`${native}/${missing}`)).status).toBe(404);
});
