import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { alive, Bench, sha, until } from './launcher.harness.js';

let bench: Bench;
const dir = mkdtempSync(join(tmpdir(), 'launcher-output-'));
const file = (name: string, data: Buffer | string): string => {
  writeFileSync(join(dir, name), data);
  return join(dir, name);
};
let gates = 0;
/** What a script waits at until it is opened. */
const gate = () => {
  const place = join(dir, `gate-${++gates}`);
  return { wait: `until [ -e ${place} ]; do sleep 0.01; done`, open: () => writeFileSync(place, '') };
};
beforeAll(async () => {
  bench = await new Bench().connect();
});
afterAll(async () => {
  await bench.stop();
  rmSync(dir, { recursive: true, force: true });
});

const whole = { storeLimit: 1024 * 1024 * 1024 };

describe('output', () => {
  it('is kept byte for byte, invalid UTF-8 too, in chunks of 64 KiB that say where they belong', async () => {
    const data = randomBytes(3_000_000);
    bench.start('bytes', ['/bin/cat', file('bytes', data)]);
    expect((await bench.closed('bytes')).bytes).toBe(data.length);
    expect(sha(bench.stored('bytes'))).toBe(sha(data));
    const { chunks } = bench.of('bytes');
    expect(chunks.map(({ chunk }) => chunk.seq)).toEqual(chunks.map((_, index) => index + 1));
    let offset = 0;
    for (const { chunk, bytes } of chunks) {
      expect(chunk.offset).toBe(offset);
      expect(bytes.length).toBeLessThanOrEqual(64 * 1024);
      offset += bytes.length;
    }
  });

  it('never cuts a character', async () => {
    const text = 'aü€😀'.repeat(100_000);
    bench.start('characters', ['/bin/cat', file('characters', text)]);
    const [first, second] = [gate(), gate()];
    const parts = [String.raw`printf 'x\xf0\x9f'`, first.wait, String.raw`printf '\x98\x80y'`, second.wait];
    bench.sh('slowly', [...parts, String.raw`printf '\xe2'`].join('; '));
    await until(() => bench.of('slowly').chunks[0], 'the first part');
    first.open();
    await until(() => bench.of('slowly').chunks[1], 'the second part');
    second.open();
    await Promise.all([bench.closed('characters'), bench.closed('slowly')]);
    for (const { bytes } of bench.of('characters').chunks) expect(bytes.toString()).not.toContain('\ufffd');
    expect(bench.stored('characters').toString()).toBe(text);
    expect(bench.of('slowly').chunks.map(({ bytes }) => bytes.toString('latin1'))).toEqual([
      'x',
      '\xf0\x9f\x98\x80y',
      '\xe2',
    ]);
  });

  it('of 50 MB in one line is no different', async () => {
    const data = Buffer.alloc(50_000_000, 'abcdefghi');
    bench.start('line', ['/bin/cat', file('line', data)], whole);
    await bench.closed('line');
    expect(sha(bench.stored('line'))).toBe(sha(data));
  });

  it('is there at once, while the command goes on, in order, on both streams', async () => {
    const gates = [gate(), gate(), gate()];
    const [one, two, three] = gates.map(({ wait }) => wait);
    bench.sh('live', `echo a; ${one}; echo b >&2; ${two}; echo c; ${three}`);
    const took: number[] = [];
    for (const [i, { open }] of gates.entries()) {
      const began = performance.now();
      await until(() => bench.of('live').chunks[i], `chunk ${i + 1}`);
      took.push(performance.now() - began);
      open();
    }
    // The quickest: what the machine does besides is no part of it.
    expect(Math.min(...took)).toBeLessThan(300);
    expect(bench.of('live').chunks.map(({ chunk, bytes }) => [chunk.stream, chunk.offset, bytes.toString()])).toEqual([
      ['stdout', 0, 'a\n'],
      ['stderr', 0, 'b\n'],
      ['stdout', 2, 'c\n'],
    ]);
    await bench.closed('live');
  });
});

describe('the cap', () => {
  it('keeps beginning and end, says what is left out, counts all', async () => {
    const lines = Buffer.from(Array.from({ length: 400_000 }, (_, n) => `line ${n} ü\n`).join(''));
    bench.start('capped', ['/bin/cat', file('capped', lines)], { storeLimit: 1_000_000 });
    expect((await bench.closed('capped')).bytes).toBe(lines.length);
    const stored = bench.of('capped').chunks.filter(({ chunk }) => !chunk.live);
    const at = stored.findIndex(({ chunk }) => chunk.marker);
    const head = Buffer.concat(stored.slice(0, at).map(({ bytes }) => bytes));
    const tail = Buffer.concat(stored.slice(at + 1).map(({ bytes }) => bytes));
    const omitted = lines.length - head.length - tail.length;
    expect(stored[at]?.bytes.toString()).toBe(`\n[... ${omitted} bytes omitted ...]\n`);
    expect([head.length, tail.length].every((size) => size > 499_990 && size <= 500_000)).toBe(true);
    expect(head.equals(lines.subarray(0, head.length))).toBe(true);
    expect(tail.equals(lines.subarray(lines.length - tail.length))).toBe(true);
    expect(stored[at + 1]?.chunk.offset).toBe(lines.length - tail.length);
    expect(bench.of('capped').chunks.some(({ chunk }) => chunk.live)).toBe(true);
  });

  it('leaves nothing out of what fits, and keeps the streams apart', async () => {
    bench.sh('fits', 'for i in $(seq 200); do echo out $i; echo err $i >&2; done', { storeLimit: 4000 });
    const { bytes } = await bench.closed('fits');
    expect(bytes).toBeLessThan(4000);
    const expected = (word: string) => Array.from({ length: 200 }, (_, n) => `${word} ${n + 1}\n`).join('');
    expect(bench.stored('fits', 'stdout').toString()).toBe(expected('out'));
    expect(bench.stored('fits', 'stderr').toString()).toBe(expected('err'));
    expect(bench.of('fits').chunks.some(({ chunk }) => chunk.marker)).toBe(false);
  });
});

describe("a run's own voice", () => {
  it('is taken out, however it is split; what only looks like it stays', async () => {
    const script = [
      'echo before',
      `echo '##runledger {"progress": 40, "message": "ü"}'`,
      `printf '##run'; sleep 0.1; printf 'ledger {"ops"'; sleep 0.1; printf ': 81}\\nafter\\n'`,
      `echo ' ##runledger {"a": 1}'; echo 'x ##runledger {"a": 1}'; echo '##runledger no'; echo '##runledger [1]'`,
      `printf '#'; sleep 0.1; echo '# title'; echo '##runledger {"b":2}' >&2`,
      `printf '##runledger {"last": true}'`,
    ].join('\n');
    bench.sh('voice', script);
    await bench.closed('voice');
    expect(bench.of('voice').voices).toEqual([{ progress: 40, message: 'ü' }, { ops: 81 }, { last: true }]);
    expect(bench.stored('voice', 'stdout').toString()).toBe(
      'before\nafter\n ##runledger {"a": 1}\nx ##runledger {"a": 1}\n##runledger no\n##runledger [1]\n## title\n',
    );
    expect(bench.stored('voice', 'stderr').toString()).toBe('##runledger {"b":2}\n');
  });

  it('of more than 64 KiB is ordinary output', async () => {
    const line = `##runledger {"x":"${'y'.repeat(70_000)}"}\n`;
    bench.start('shout', ['/bin/cat', file('shout', `${line}##runledger {"z":1}\n${line}`)]);
    await bench.closed('shout');
    expect(bench.of('shout').voices).toEqual([{ z: 1 }]);
    expect(bench.stored('shout').toString()).toBe(line + line);
  });
});

describe('an executor that is slow or away', () => {
  it('holds the command back at the limit, and lets it go on', async () => {
    const other = await new Bench({ acks: false, holdBytes: 1024 * 1024 }).connect();
    other.sh('held', 'yes | head -c 20000000; echo end >&2', whole);
    await until(() => (other.stored('held').length > 900_000 ? true : undefined), 'the limit');
    for (let size = 0; other.stored('held').length > size; await sleep(700)) size = other.stored('held').length;
    expect(other.stored('held').length).toBeLessThan(1_300_000);
    other.acks = true;
    other.client.ack('held', other.of('held').chunks.at(-1)?.chunk.seq ?? 0);
    expect(await other.closed('held')).toMatchObject({ exitCode: 0, bytes: 20_000_004 });
    expect(other.stored('held', 'stdout').length).toBe(20_000_000);
    await other.stop();
  });

  it('adopts everything byte for byte: what runs, what ended, what was refused', async () => {
    const other = await new Bench({ acks: false }).connect();
    const data = Buffer.from(Array.from({ length: 300_000 }, (_, n) => `row ${n}\n`).join(''));
    const source = file('adopted', data);
    const [alone, back] = [gate(), gate()];
    other.sh('running', `head -c 1000000 ${source}; ${back.wait}; tail -c +1000001 ${source}; exit 5`);
    other.sh('failed', `${alone.wait}; echo bye; exit 9`);
    other.sh('signalled', `${alone.wait}; kill -KILL $$`);
    other.start('refused', ['/no/such']);
    const voice = [`echo '##runledger {"ops": 1}'`, `echo '##runledger {"progress": 2}'`];
    other.sh('speaks', [alone.wait, ...voice, back.wait].join('; '));
    await until(() => (other.stored('running').length > 100_000 ? true : undefined), 'the first bytes');
    await until(() => ['failed', 'signalled', 'speaks'].every((key) => other.of(key).pid) || undefined, 'their start');
    const ending = ['failed', 'signalled'].map((key) => other.of(key).pid!);
    other.client.close();
    alone.open();
    await until(() => !ending.some(alive) || undefined, 'the end of two');
    other.acks = true;
    await other.connect();
    while (other.client.runs.filter(({ state }) => state === 'closed').length < 3) {
      other.client.close();
      await sleep(50);
      await other.connect();
    }
    expect(other.client.runs.map(({ key, state }) => [key, state])).toEqual([
      ['running', 'running'],
      ['failed', 'closed'],
      ['signalled', 'closed'],
      ['refused', 'closed'],
      ['speaks', 'running'],
    ]);
    back.open();
    expect(await other.closed('running')).toMatchObject({ exitCode: 5, killed: null });
    expect(sha(other.stored('running'))).toBe(sha(readFileSync(source)));
    expect(await other.closed('failed')).toMatchObject({ exitCode: 9, signal: null });
    expect(await other.closed('signalled')).toMatchObject({ exitCode: null, signal: 'SIGKILL' });
    expect(other.of('refused').refused).toMatchObject({ code: 'command_not_found' });
    await other.closed('speaks');
    expect(Object.assign({}, ...other.of('speaks').voices)).toEqual({ ops: 1, progress: 2 });
    for (const key of ['running', 'failed', 'signalled', 'refused', 'speaks']) other.client.forget(key);
    other.client.close();
    await other.connect();
    expect(other.client.runs).toEqual([]);
    await other.stop();
  });

  it('the newest executor takes over', async () => {
    const first = await new Bench().connect();
    const taken = gate();
    first.sh('shared', `${taken.wait}; echo x`);
    await until(() => first.of('shared').pid, 'the start');
    const second = await new Bench({ dir: first.dir }).connect();
    await until(() => (first.gone > 0 ? true : undefined), 'the older one to be let go');
    expect(second.client.runs).toMatchObject([{ key: 'shared', state: 'running' }]);
    taken.open();
    expect(await second.closed('shared')).toMatchObject({ exitCode: 0 });
    await second.stop();
  });
});

describe('many loud runs', () => {
  it('leave little unacknowledged with the executor, and none is kept from speaking', async () => {
    const other = await new Bench({ acks: false }).connect();
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const key of keys) other.sh(key, 'head -c 3000000 /dev/zero', whole);
    await until(() => (keys.every((key) => other.stored(key).length > 0) ? true : undefined), 'a word of each');
    await sleep(1000);
    const sizes = keys.map((key) => other.stored(key).length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1024 * 1024 + 64 * 1024);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(2 * 1024 * 1024 + keys.length * 64 * 1024);
    other.acks = true;
    for (const key of keys) other.client.ack(key, other.of(key).chunks.at(-1)!.chunk.seq);
    for (const key of keys) expect(await other.closed(key)).toMatchObject({ exitCode: 0, bytes: 3_000_000 });
    for (const key of keys) expect(other.stored(key).length).toBe(3_000_000);
    await other.stop();
  });

  it('are paced together, and lose nothing by it', async () => {
    const began = performance.now();
    for (const key of ['loud', 'louder']) bench.sh(key, 'head -c 40000000 /dev/zero; exit 3', { storeLimit: 100_000 });
    for (const key of ['loud', 'louder'])
      expect(await bench.closed(key)).toMatchObject({ exitCode: 3, bytes: 40_000_000 });
    expect(performance.now() - began).toBeGreaterThan(2000);
  });
});
