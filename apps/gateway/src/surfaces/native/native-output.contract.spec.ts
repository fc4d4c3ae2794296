import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { adminOf, eventually, sharedStack, type Client, type Stack } from '#testing';
import { ended, outputOf, requestRun, runToEnd, sh, type Run } from './native.harness.js';

let stack: Stack;
let admin: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  admin = await adminOf(stack);
}, 90_000);
afterAll(() => stack.stop(), 60_000);

interface Chunk {
  attempt: number;
  seq: number;
  stream: string;
  offset: number;
  at: string;
  text: string;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const output = (id: string, query = '', accept = '*/*') => admin.get(`/api/v1/runs/${id}/output${query}`, { accept });

const bytesOf = async (id: string, query = ''): Promise<Buffer> => (await output(id, query)).bytes;

async function chunksOf(id: string, query = ''): Promise<Chunk[]> {
  const { headers, text } = await output(id, query, 'application/x-ndjson');
  expect(headers.get('content-type')).toMatch(/^application\/x-ndjson/);
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Chunk);
}

const textOf = (chunks: Chunk[]) => chunks.map(({ text }) => text).join('');

describe('GET /runs/{id}/output', () => {
  let run: Run;
  beforeAll(async () => {
    const gates = [1, 2].map((n) => path.join(stack.dataDir, `gate-${n}`));
    const [one, two] = gates.map((gate) => `until [ -e ${gate} ]; do sleep 0.02; done`);
    const going = await requestRun(admin, sh(`echo eins; ${one}; echo zwei >&2; ${two}; echo drei`));
    for (const [i, text] of ['eins\n', 'eins\nzwei\n'].entries()) {
      await eventually(text, async () => (await outputOf(admin, going.id)) === text);
      writeFileSync(gates[i]!, '');
    }
    run = await ended(admin, going);
  });

  test('is text: everything, or one stream', async () => {
    const whole = await output(run.id);
    expect([whole.status, whole.text]).toEqual([200, 'eins\nzwei\ndrei\n']);
    expect(whole.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(whole.headers.get('x-ledger-position')).toMatch(/^\d+$/);
    expect(await outputOf(admin, run.id, '?stream=stdout')).toBe('eins\ndrei\n');
    expect(await outputOf(admin, run.id, '?stream=stderr')).toBe('zwei\n');
  });

  test('from and limit count stored bytes', async () => {
    expect(await outputOf(admin, run.id, '?from=2&limit=5')).toBe('ns\nzw');
    expect(await outputOf(admin, run.id, '?from=12')).toBe('ei\n');
    expect(await outputOf(admin, run.id, '?from=15')).toBe('');
    expect(await outputOf(admin, run.id, '?from=1000&limit=3')).toBe('');
    expect(await outputOf(admin, run.id, '?limit=0')).toBe('');
    expect(await outputOf(admin, run.id, '?stream=stdout&from=4&limit=3')).toBe('\ndr');
  });

  test('as NDJSON: chunks with attempt, seq from 1, stream and the offset in it', async () => {
    const at = expect.stringMatching(/Z$/);
    expect(await chunksOf(run.id)).toEqual([
      { attempt: 1, seq: 1, stream: 'stdout', offset: 0, at, text: 'eins\n' },
      { attempt: 1, seq: 2, stream: 'stderr', offset: 0, at, text: 'zwei\n' },
      { attempt: 1, seq: 3, stream: 'stdout', offset: 5, at, text: 'drei\n' },
    ]);
    expect(await chunksOf(run.id, '?stream=stderr')).toMatchObject([{ seq: 2, text: 'zwei\n' }]);
    expect(await chunksOf(run.id, '?from=2&limit=5')).toMatchObject([
      { seq: 1, offset: 2, text: 'ns\n' },
      { seq: 2, offset: 0, text: 'zw' },
    ]);
  });

  test.each(['stream=both', 'from=-1', 'limit=x', 'attempt=0'])('%s is refused', async (query) => {
    expect((await output(run.id, `?${query}`)).status).toBe(422);
  });

  test('a run that has not printed has an empty output', async () => {
    const silent = await runToEnd(admin, sh('true'));
    expect([await outputOf(admin, silent.id), await chunksOf(silent.id)]).toEqual(['', []]);
    expect(silent.output).toEqual({ bytes: 0, stored: 0, truncated: false, sha256: sha256(Buffer.alloc(0)) });
  });

  test('is there while the run goes on', async () => {
    const going = await requestRun(admin, sh('echo early; sleep 300'));
    await eventually('the first line', async () => (await outputOf(admin, going.id)) === 'early\n');
    await admin.post(`/api/v1/runs/${going.id}/cancel`, {});
    expect((await ended(admin, going)).output).toMatchObject({ bytes: 6, stored: 6 });
  });
});

test('each attempt keeps its own; without a number it is the newest', async () => {
  const policies = { retry: { attempts: 3 } };
  const run = await runToEnd(admin, sh('echo "attempt $RUNLEDGER_ATTEMPT"; exit 1'), { policies });
  expect(run).toMatchObject({ status: 'failed', attempt: 3 });
  expect(await outputOf(admin, run.id)).toBe('attempt 3\n');
  for (const attempt of [1, 2, 3]) {
    expect(await outputOf(admin, run.id, `?attempt=${attempt}`)).toBe(`attempt ${attempt}\n`);
    expect(await chunksOf(run.id, `?attempt=${attempt}`)).toMatchObject([{ attempt, seq: 1 }]);
  }
  expect(await outputOf(admin, run.id, '?attempt=4')).toBe('');
});

test('bytes stay bytes; in the text of a chunk no character is cut', async () => {
  const run = await runToEnd(
    admin,
    sh(`printf '\\377\\376'; i=0; while [ $i -lt 8000 ]; do printf 'ä🐘'; i=$((i+1)); done`),
  );
  const wanted = Buffer.concat([Buffer.from([255, 254]), Buffer.from('ä🐘'.repeat(8_000))]);
  const stored = await bytesOf(run.id);
  expect(stored.equals(wanted)).toBe(true);
  expect(run.output).toEqual({ bytes: wanted.length, stored: wanted.length, truncated: false, sha256: sha256(wanted) });
  expect(textOf(await chunksOf(run.id))).toBe(wanted.toString('utf8'));
  // Pages of chunks that were cut inside characters lie edge to edge all the same.
  const pages = await Promise.all([0, 1, 2, 3].map((i) => chunksOf(run.id, `?from=${i * 12_001}&limit=12001`)));
  expect(pages.map(textOf).join('')).toBe(wanted.toString('utf8'));
});

test('12 MB: at most 10 MiB are kept, beginning and end, and the true size is known', async () => {
  const size = 12_000_000;
  const run = await runToEnd(admin, sh(`yes 0123456789 | head -c ${size}; echo the end`));
  const { output: summary, status } = run;
  expect(status).toBe('succeeded');
  expect(summary).toMatchObject({ bytes: size + 8, truncated: true });
  expect(summary!.stored).toBeGreaterThan(10 * 1_048_576 - 65_536);
  const stored = await bytesOf(run.id);
  expect(stored.length).toBe(summary!.stored);
  expect(sha256(stored)).toBe(summary!.sha256);
  expect(stored.subarray(0, 22).toString()).toBe('0123456789\n0123456789\n');
  expect(stored.subarray(-8).toString()).toBe('the end\n');
  expect(summary!.stored).toBeLessThanOrEqual(10 * 1_048_576);
  const [, omitted] = /\n\[\.\.\. (\d+) bytes omitted \.\.\.\]\n/.exec(stored.toString('latin1')) ?? [];
  expect(stored.length - `\n[... ${omitted} bytes omitted ...]\n`.length + Number(omitted)).toBe(size + 8);
});
