import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Bench, path, until } from './launcher.harness.js';

let bench: Bench;
beforeAll(async () => {
  bench = await new Bench().connect();
});
afterAll(() => bench.stop());

const secret = `s3cret-${randomBytes(8).toString('hex')}`;
const order = { env: { PATH: path, SECRET: secret, OPEN: 'open' }, secret: ['SECRET', 'MISSING'] };
const text = (key: string, stream?: 'stdout' | 'stderr') => bench.stored(key, stream).toString();

test('is taken out wherever a write ends, and each stream is its own', async () => {
  const split = 'rest=${SECRET#?????}; head=${SECRET%"$rest"}';
  bench.sh(
    'split',
    `${split}; printf 'a %s' "$head"; printf %s "$rest" >&2; sleep 0.4; printf '%s z\\n' "$rest"; echo " $SECRET" >&2`,
    order,
  );
  await bench.closed('split');
  expect(text('split', 'stdout')).toBe('a *** z\n');
  expect(text('split', 'stderr')).toBe(`${secret.slice(5)} ***\n`);
});

test('what only looks like its beginning comes with the next bytes, or at the end', async () => {
  bench.sh('prompt', `printf '%.9s' "$SECRET"; sleep 0.3; printf '%s' '|'; printf '%.12s' "$SECRET"`, order);
  await bench.closed('prompt');
  expect(text('prompt')).toBe(`${secret.slice(0, 9)}|${secret.slice(0, 12)}`);
});

test("is taken out of a run's own words, however they spell it", async () => {
  const spelt = [...secret].map((c) => `\\u00${c.charCodeAt(0).toString(16)}`).join('');
  const plain = `printf '##runledger {"progress": 4, "message": "at %s!"}\\n' "$SECRET"`;
  bench.sh('voice', `${plain}; printf '%s\\n' '##runledger {"message": "now ${spelt}"}'`, order);
  await bench.closed('voice');
  expect(bench.of('voice').voices).toEqual([{ progress: 4, message: 'at ***!' }, { message: 'now ***' }]);
});

test('is in no spool: not of what waits for the store, nor of what is beyond the limit', async () => {
  const quiet = await new Bench({ acks: false }).connect();
  try {
    const script = `i=0; while [ $i -lt 20000 ]; do echo "line $i has $SECRET and ${'x'.repeat(40)} $OPEN"; i=$((i+1)); done`;
    quiet.sh('much', script, { ...order, storeLimit: 600_000 });
    const spools = () =>
      readdirSync(`/proc/${quiet.client.pid}/fd`)
        .map((fd) => `/proc/${quiet.client.pid}/fd/${fd}`)
        .filter((fd) => readlinkSync(fd).includes('/spool/'))
        .map((fd) => readFileSync(fd));
    await quiet.closed('much');
    const kept = await until(() => (spools().length >= 2 ? spools() : undefined), 'two spools');
    for (const spool of kept) {
      expect(spool.includes('*** and xxxx')).toBe(true);
      expect(spool.includes(secret)).toBe(false);
    }
  } finally {
    await quiet.stop();
  }
}, 90_000);

test('pieces that are only watched are without it as well', async () => {
  bench.sh('live', `seq 1 3000; for i in 1 2 3 4 5 6; do echo "$SECRET $i"; sleep 0.1; done`, {
    ...order,
    storeLimit: 2_048,
  });
  await bench.closed('live');
  const live = bench.of('live').chunks.filter(({ chunk }) => chunk.live);
  const seen = live.map(({ bytes }) => bytes.toString()).join('');
  expect(seen).toContain('*** 6');
  expect(seen + text('live')).not.toContain(secret);
});
