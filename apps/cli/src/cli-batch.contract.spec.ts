import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { adminOf, eventually, removeTestDir, sharedStack, testDir, type Client, type Stack } from '#testing';
import { Cli } from './cli.harness.js';
import { type Batch } from './shapes.js';

let stack: Stack;
let admin: Client;
let cli: Cli;
const dir = testDir('cli-batch');
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
  const token = admin.header('authorization').replace('Bearer ', '');
  cli = new Cli(path.join(dir, 'home'), { RUNLEDGER_URL: stack.url, RUNLEDGER_TOKEN: token });
}, 90_000);
afterAll(async () => {
  await stack.stop();
  removeTestDir(dir);
}, 60_000);

const job = (line: string, more: object = {}) => ({ command: ['/bin/sh', '-c', line], ...more });
const lines = (...jobs: object[]) => jobs.map((each) => `${JSON.stringify(each)}\n`).join('');
const read = async (id: string) => (await admin.get<Batch>(`/api/v1/job-batches/${id}`)).body;
const batch = (input: string, ...args: string[]) => cli.start(['batch', ...args, '-'], input);
function file(name: string, content: string): string {
  const place = path.join(dir, name);
  writeFileSync(place, content);
  return place;
}

test('a document: prints the id of the batch', async () => {
  const jobs = [job('echo one', { name: 'first' }), job('exit 0', { env: { A: '1' }, priority: 7 })];
  const { code, stdout, stderr } = await cli.run(
    'batch',
    file('a.json', JSON.stringify({ name: 'nightly', jobs }, null, 2)),
  );
  expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/^[0-9a-f-]{36}\n$/), '']);
  expect(await read(stdout.trim())).toMatchObject({ name: 'nightly', total_jobs: 2, jobs: [{ name: 'first' }, {}] });
});

test('lines: the name comes from the option; one JSON value', async () => {
  const made = await cli.json<Batch>('batch', '--name', 'of lines', file('a.jsonl', lines(job('true'), job('true'))));
  expect(made).toMatchObject({ name: 'of lines', total_jobs: 2 });
  expect(made.jobs).toHaveLength(2);
});

test('--follow: a line for each change, 0 when all succeeded', async () => {
  const jobs = Array.from({ length: 30 }, (_, i) => job(`echo ${i}`));
  const { code, stdout, stderr } = await batch(lines(...jobs), '-f').ended;
  expect([code, stdout]).toEqual([0, '30 of 30 over: 30 succeeded\n']);
  expect(stderr).toMatch(/^Batch [0-9a-f-]{36}\n(\d+ of 30 over: .*\n)*30 of 30 over: 30 succeeded\n$/);
});

test('--follow: 1 and the others, when not all did', async () => {
  const mixed = lines(job('exit 3', { name: 'bad' }), job('true', { name: 'good' }));
  const { code, stdout } = await batch(mixed, '-f').ended;
  expect([code, stdout]).toEqual([
    1,
    expect.stringMatching(/^ID .*\n[0-9a-f-]{36} {2}bad +failed +3 .*\n2 of 2 over: 1 succeeded, 1 failed\n$/),
  ]);
  const json = await batch(mixed, '-f', '--json').ended;
  expect([json.code, JSON.parse(json.stdout)]).toEqual([
    1,
    expect.objectContaining({ success_count: 1, failed_count: 1 }),
  ]);
});

test('Ctrl-C leaves the batch alone and says how to end it', async () => {
  const up = path.join(dir, 'up');
  const going = batch(lines(job(`touch ${up}; sleep 300`), job('sleep 300')), '-f');
  await eventually('the first job', () => Promise.resolve(existsSync(up)));
  await eventually('the first line', () => Promise.resolve(going.stderr().includes('of 2 over')));
  going.child.kill('SIGINT');
  const { code, stderr } = await going.ended;
  const id = /Batch (\S+)/.exec(stderr)?.[1] ?? '';
  expect([code, stderr]).toEqual([130, expect.stringContaining(`runledger cancel --batch ${id}`)]);
  expect(await read(id)).toMatchObject({ canceled_count: 0 });
  expect(await cli.run('cancel', '--batch', id)).toMatchObject({ code: 0, stderr: expect.stringContaining('2 job') });
  await eventually('the end of both', async () => (await read(id)).canceled_count === 2);
});

test.each<[string, string, number, string]>([
  ['a job without a command', lines(job('true'), { name: 'x' }), 1, 'jobs.1.command: '],
  ['no jobs', '{"jobs": []}', 2, 'no jobs'],
  ['a line that is no job', 'make test\n', 2, 'Line 1 is no job'],
])('%s is refused', async (_, input, code, words) => {
  expect(await batch(input).ended).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(words) });
});

test('a file that is not there', async () => {
  const { code, stderr } = await cli.run('batch', path.join(dir, 'nothing'));
  expect([code, stderr]).toEqual([2, expect.stringMatching(/nothing cannot be read: .*no such file/)]);
});
