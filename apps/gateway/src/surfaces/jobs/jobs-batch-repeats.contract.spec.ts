import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, eventually, sharedStack, type Client, type Stack } from '#testing';
import { newcomer } from '../../live/second-user.harness.js';
import { batches, everythingWritten, never, type Batch } from './batches.harness.js';

let stack: Stack;
let olga: Client;
let otto: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  olga = await adminOf(stack);
  otto = await newcomer(stack, 'repeating', 'operator');
});
afterAll(() => stack.stop());

/** As the view shows it, once it does. */
const read = (id: string) =>
  eventually('the batch to be shown', async () => {
    const { status, body } = await olga.get<Batch>(`${batches}/${id}`);
    return status === 200 && body;
  });
const names = ({ jobs }: Batch) => jobs.map(({ name }) => name);
const ids = (jobs: { id: string }[]) => jobs.map(({ id }) => id);

describe('Idempotency-Key', () => {
  let keys = 0;
  const keyed = (key: string, body: object, by = olga) => by.post<Batch>(batches, body, { 'idempotency-key': key });
  const newKey = () => `batch-${++keys}`;
  const of = (...jobNames: string[]) => ({
    name: 'keyed',
    jobs: jobNames.map((name) => ({ name, command: ['true'], ...never })),
  });

  test('a repeat is the same batch, and nothing is written; another body is 422', async () => {
    const key = newKey();
    const first = await keyed(key, of('a', 'b'));
    const before = await everythingWritten(stack);
    const again = await keyed(key, of('a', 'b'));
    expect([first.status, again.status, again.body]).toEqual([202, 202, first.body]);
    for (const body of [of('a'), of('b', 'a'), of('a', 'b', 'c')]) {
      expect((await keyed(key, body)).status).toBe(422);
    }
    expect(await everythingWritten(stack)).toEqual(before);
    expect((await keyed(key, of('a', 'b'), otto)).body.id).not.toBe(first.body.id);
  });

  test('of ten at once with one key one is made, and all are answered with the whole of it', async () => {
    for (let round = 0; round < 5; round++) {
      const key = newKey();
      const body = of(...Array.from({ length: 30 }, (_, i) => String(i)));
      const answers = await Promise.all(Array.from({ length: 10 }, () => keyed(key, body)));
      expect(answers.map(({ status }) => status)).toEqual(Array<number>(10).fill(202));
      for (const answer of answers) expect(ids(answer.body.jobs)).toEqual(ids(answers[0]!.body.jobs));
      expect(answers[0]!.body.jobs).toHaveLength(30);
    }
  });

  test('of different ones at once with one key one is made, and of the others not a job', async () => {
    for (let round = 0; round < 5; round++) {
      const key = newKey();
      const bodies = Array.from({ length: 8 }, (_, i) =>
        of(...Array.from({ length: 1 + i * 5 }, (__, k) => `${i}.${k}`)),
      );
      const answers = await Promise.all(bodies.map((body) => keyed(key, body)));
      const made = answers.flatMap(({ status, body }, i) => (status === 202 ? [{ body, asked: bodies[i]! }] : []));
      expect(answers.map(({ status }) => status).filter((status) => status !== 422)).toEqual([202]);
      const batch = await read(made[0]!.body.id);
      expect(names(batch)).toEqual(made[0]!.asked.jobs.map(({ name }) => name));
      expect(batch.total_jobs).toBe(made[0]!.asked.jobs.length);
    }
  });
});
