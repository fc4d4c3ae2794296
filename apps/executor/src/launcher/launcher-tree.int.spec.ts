import { setTimeout as sleep } from 'node:timers/promises';
import { alive, Bench, until, withWord } from './launcher.harness.js';

let bench: Bench;
beforeAll(async () => {
  bench = await new Bench().connect();
});
afterAll(() => bench.stop());

let marker = 0;
/** A sleep that nobody else sleeps, so that what is left of a run can be found without the launcher's own nets. */
const nap = () => `${86_400 + process.pid}.${String(++marker).padStart(4, '0')}`;

const shapes: [string, (word: string) => string][] = [
  ['background', (word) => `sleep ${word} & sleep ${word}`],
  ['double fork', (word) => `( ( sleep ${word} & ) & ); sleep ${word}`],
  ['setsid', (word) => `setsid -f sleep ${word}; sleep ${word}`],
  ['nohup', (word) => `nohup sleep ${word} & nohup sleep ${word}`],
  ['trap TERM', (word) => `trap "" TERM; sleep ${word} & while :; do sleep ${word}; done`],
  ['stopped', (word) => `sleep ${word} & kill -STOP $!; sleep ${word}`],
  [
    'env -i setsid double fork',
    (word) => `( env -i /usr/bin/setsid -f /bin/sh -c "sleep ${word} & sleep ${word}" & ); sleep ${word}`,
  ],
  [
    'fork loop',
    (word) =>
      `trap "" TERM; for i in $(seq 64); do ( trap "" TERM; while :; do sleep ${word} & sleep 0.05; done ) & done; sleep ${word}`,
  ],
];

describe.each(shapes)('a tree: %s', (name, script) => {
  it.each(['cancel', 'timeout'] as const)('is gone after %s', async (why) => {
    const word = nap();
    let key = '';
    // On a busy machine the tree may not have grown when its time is over: then it gets more.
    for (let timeoutMs = 500, grown = false; !grown; timeoutMs *= 2) {
      key = `${name} ${why} ${timeoutMs}`;
      bench.sh(key, script(word), why === 'timeout' ? { timeoutMs } : {});
      grown = await until(() => withWord(word).length >= 2 || (bench.of(key).closed ? false : undefined), 'the tree');
    }
    await sleep(why === 'cancel' ? 200 : 0);
    if (why === 'cancel') bench.client.kill(key, 'cancel', 800);
    const closed = await bench.closed(key);
    expect(closed).toMatchObject({ killed: why, survivors: [] });
    expect(withWord(word)).toEqual([]);
    expect(closed.exitCode === null).toBe(closed.signal !== null);
  });
});

it('says the exit code of a command that ends itself when asked to', async () => {
  bench.sh('polite', 'trap "exit 3" TERM; echo ready; while :; do sleep 0.02; done');
  await until(() => bench.of('polite').chunks[0], 'it to be ready');
  bench.client.kill('polite', 'cancel');
  expect(await bench.closed('polite')).toMatchObject({ exitCode: 3, signal: null, killed: 'cancel' });
});

it('a second kill skips the grace', async () => {
  bench.sh('stubborn', 'trap "" TERM; echo ready; while :; do sleep 0.1; done');
  await until(() => bench.of('stubborn').chunks[0], 'it to be ready');
  bench.client.kill('stubborn', 'cancel', 60_000);
  await sleep(200);
  expect(bench.of('stubborn').closed).toBeUndefined();
  bench.client.kill('stubborn', 'cancel', 60_000);
  expect(await bench.closed('stubborn')).toMatchObject({ signal: 'SIGKILL', killed: 'cancel' });
});

it.each([
  ['with the pipes', '', 1500],
  ['without them', '>/dev/null 2>&1', 0],
])('what a command leaves behind %s does not outlive it', async (name, redirect, atLeast) => {
  const word = nap();
  bench.sh(`left ${name}`, `sleep ${word} ${redirect} & setsid -f sleep ${word} ${redirect}; echo done; exit 4`);
  const begun = performance.now();
  expect(await bench.closed(`left ${name}`)).toMatchObject({ exitCode: 4, signal: null, killed: null, survivors: [] });
  expect(performance.now() - begun).toBeGreaterThanOrEqual(atLeast);
  expect(withWord(word)).toEqual([]);
  expect(bench.stored(`left ${name}`).toString()).toBe('done\n');
});

it('a background process that ends by itself within the drain is heard to its end', async () => {
  bench.sh('late', '(sleep 0.1; echo late) & echo early');
  expect(await bench.closed('late')).toMatchObject({ exitCode: 0, killed: null });
  expect(bench.stored('late').toString()).toBe('early\nlate\n');
});

it('one run being killed leaves the others alone', async () => {
  const word = nap();
  bench.sh('neighbour', `( setsid -f sleep ${word} >/dev/null 2>&1 & ); sleep 1.5; pgrep -f -c "sleep ${word}$"`);
  bench.sh('victim', 'sleep 100');
  await sleep(300);
  bench.client.kill('victim', 'cancel', 0);
  await bench.closed('victim');
  await bench.closed('neighbour');
  expect(Number(bench.stored('neighbour').toString())).toBeGreaterThanOrEqual(1);
  expect(withWord(word)).toEqual([]);
});

it('a run that is not renewed is killed, and its end is kept', async () => {
  const other = await new Bench({ deadManMs: 3_000 }).connect();
  other.sh('renewed', 'sleep 100');
  other.sh('fenced', 'sleep 100');
  const renewing = setInterval(() => other.client.renew(['renewed']), 100);
  expect(await other.closed('fenced')).toMatchObject({ killed: 'fenced', signal: 'SIGTERM' });
  expect(other.of('renewed').closed).toBeUndefined();
  clearInterval(renewing);
  const pid = other.of('renewed').pid!;
  other.client.close();
  await until(() => !alive(pid) || undefined, 'it to be killed');
  other.heard.clear();
  await other.connect();
  expect(await other.closed('renewed')).toMatchObject({ killed: 'fenced' });
  expect(await other.closed('fenced')).toMatchObject({ killed: 'fenced' });
  await other.stop();
});

it('after kill -9 of the launcher the next one removes what it had started, and nothing else', async () => {
  const word = nap();
  const other = await new Bench().connect();
  other.sh(
    'lost',
    `trap "" TERM; ( env -i /usr/bin/setsid -f /bin/sh -c "sleep ${word}; :" & ); while :; do sleep ${word}; done`,
  );
  await until(() => (withWord(word).length >= 3 ? true : undefined), 'the tree');
  const former = other.client.pid;
  process.kill(former, 'SIGKILL');
  await until(() => (other.gone > 0 ? true : undefined), 'the news');
  await other.connect();
  expect(other.client.pid).not.toBe(former);
  expect(other.client.runs).toEqual([]);
  expect(withWord(word)).toEqual([]);
  other.sh('next', 'echo works');
  expect(await other.closed('next')).toMatchObject({ exitCode: 0 });
  await other.stop();
});

it('a launcher without executor and runs goes by itself; shutdown ends everything', async () => {
  const other = await new Bench({ idleExitMs: 300 }).connect();
  const { pid } = other.client;
  other.client.close();
  await until(() => !alive(pid) || undefined, 'it to go');
  await other.connect();
  other.sh('running', 'sleep 100');
  await until(() => other.of('running').pid, 'the start');
  other.client.shutdown(500);
  expect(await other.closed('running')).toMatchObject({ killed: 'shutdown', signal: 'SIGTERM' });
  other.client.forget('running');
  await until(() => (other.gone > 0 ? true : undefined), 'it to go');
  await other.stop();
});
