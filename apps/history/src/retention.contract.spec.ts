import { execFile } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { adminOf, eventually, sharedStack, startStack, type Client, type Stack } from '#testing';

interface Jobs {
  items: { id: string; status: string }[];
  total: number;
}

let stack: Stack;
let admin: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

async function finished(by: Client, times: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < times; i++) {
    const { body } = await by.post<{ id: string }>('/api/v1/jobs', { command: ['sh', '-c', 'echo 0123456789'] });
    ids.push(body.id);
  }
  await eventually('all jobs to end', async () => (await jobs(by)).every(({ status }) => status === 'success'));
  return ids;
}

const jobs = async (by: Client) => (await by.get<Jobs>('/api/v1/jobs')).body.items;
const idsOf = async (by: Client) => (await jobs(by)).map(({ id }) => id).reverse();

async function eventsOf(by: Client, id: string) {
  const { body } = await by.get<{ items: { type: string; data: { by?: string } }[] }>(
    `/api/v1/events?stream=run-${id}`,
  );
  return body.items;
}

/** The command of a person at the machine; its exit code and what it said. */
function retention(...args: string[]): Promise<{ code: number; said: string }> {
  const tool = path.resolve(import.meta.dirname, '../../../dist/deploy/local/retention.js');
  const env = { ...process.env, DATABASE_URL: stack.databaseUrl, NODE_OPTIONS: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, [tool, ...args], { env }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, said: out + err });
    });
  });
}

test('the command says what would go, and only without --dry-run lets it go', async () => {
  const ids = await finished(admin, 5);
  const dry = await retention('--dry-run', '--count', '2');
  expect(dry.code).toBe(0);
  expect(ids.filter((id) => dry.said.includes(id))).toEqual(ids.slice(0, 3));
  expect(dry.said).toMatch(/^3 runs with 33 bytes of output would be purged$/m);
  expect(await idsOf(admin)).toEqual(ids);

  const real = await retention('--count', '2');
  expect(real).toEqual({ code: 0, said: '3 runs with 33 bytes of output were purged\n' });
  await eventually('the view to leave them out', async () => (await idsOf(admin)).length === 2);
  expect(await idsOf(admin)).toEqual(ids.slice(3));
  expect((await eventsOf(admin, ids[0]!)).at(-1)).toMatchObject({ type: 'RunPurged', data: { by: 'system' } });
  expect((await admin.get<{ ok: boolean }>('/api/v1/verify')).body.ok).toBe(true);
}, 120_000);

test('without a limit, or with one that is none, it does nothing', async () => {
  expect(await retention()).toMatchObject({ code: 2, said: expect.stringContaining('--age') });
  const { code, said } = await retention('--age', 'soon');
  expect([code, said]).toEqual([1, expect.stringContaining('RUNLEDGER_RETENTION_AGE')]);
}, 120_000);

test('RUNLEDGER_RETENTION_COUNT: what is beyond goes by itself, and the log says so', async () => {
  const set = await startStack(topology, { RUNLEDGER_RETENTION_COUNT: '2', RUNLEDGER_RETENTION_EVERY: '1s' });
  try {
    const by = await adminOf(set);
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { body } = await by.post<{ id: string }>('/api/v1/jobs', { command: ['true'] });
      ids.push(body.id);
    }
    await eventually('two to be left', async () => (await idsOf(by)).join() === ids.slice(3).join());
    const last = (await eventsOf(by, ids[0]!)).at(-1);
    expect(last).toMatchObject({ type: 'RunPurged', data: { by: 'system' } });
    await eventually('the log', async () => set.logs().includes('retention purged runs'));
  } finally {
    await set.stop();
  }
}, 120_000);
