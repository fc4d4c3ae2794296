/** Executors and launchers die, or stand still, while commands run: all are adopted, or lost and tried again; never two at once. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunShape } from '../api.js';
import { beating, marked, overlaps, type RunBody } from '../commands.js';
import { checkInvariants } from '../invariants.js';
import { Load } from '../load.js';
import { processesOf } from '../processes.js';
import { check, figure, within, type Scenario } from '../scene.js';
import { Stack } from '../stack.js';

export const runs: Scenario = {
  name: 'runs',
  topologies: ['solo', 'cluster'],
  async run(scene) {
    const stack = await Stack.start(scene, { executors: 2 });
    const load = new Load(stack, () => ({}));
    const acts = [backInTime, launcherDies, notBack, standsStill].slice(0, scene.short ? 2 : 4);
    for (const act of acts) await act(stack, load);
    const twice = overlaps(stack);
    check(scene, 'no attempt began while the one before it lived', twice.length === 0, twice.join(' '));
    await load.settle();
    await checkInvariants(stack, load.orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

interface Planned {
  readonly body: (name: string) => RunBody;
  readonly verdict: Partial<RunShape>;
  /** What it must have printed, to the byte. */
  readonly printed: (id: string) => string;
}

interface Running {
  readonly id: string;
  readonly planned: Planned;
}

/** All on the first executor: the second one stands aside until they run. */
async function begin(stack: Stack, load: Load, plans: readonly Planned[]): Promise<Running[]> {
  if (stack.topology === 'cluster') await stack.member('executor-2').stop();
  const orders = await Promise.all(
    plans.map(async (planned) => {
      const order = await load.one((key) => planned.body(key));
      return { id: order.run!, planned };
    }),
  );
  const all = await within(20_000, async () =>
    (await stateOf(stack, orders)).every(({ status }) => status !== 'queued'),
  );
  check(stack.scene, 'all began', all, `${orders.length} commands`);
  if (stack.topology === 'cluster') stack.member('executor-2').start();
  await sleep(1_500);
  return orders;
}

async function stateOf(stack: Stack, running: readonly Running[]): Promise<RunShape[]> {
  return Promise.all(running.map(({ id }) => stack.api.get<RunShape>(`/api/v1/runs/${id}`).then(({ body }) => body)));
}

const executor = (stack: Stack) => stack.member('executor-1');

/** 20 commands: silent, chatty, and ending while nobody looks, by themselves and by a signal. */
function twenty(stack: Stack): Planned[] {
  const make = (shell: string, verdict: Planned['verdict'], printed: Planned['printed']): Planned => ({
    body: (name) => marked(stack, name, shell),
    verdict: { attempt: 1, ...verdict },
    printed,
  });
  const good = { status: 'succeeded', exitCode: 0, signal: null };
  const silent = make('sleep 14', good, () => '');
  const lines = 240;
  const chatty = make(
    `i=0; while [ $i -lt ${lines} ]; do echo "line $i of $RUNLEDGER_RUN_ID"; i=$((i+1)); sleep 0.05; done`,
    good,
    (id) => Array.from({ length: lines }, (_, n) => `line ${n} of ${id}\n`).join(''),
  );
  const failing = make(
    'echo begin; sleep 5; echo end; exit 3',
    { status: 'failed', exitCode: 3, signal: null },
    () => 'begin\nend\n',
  );
  const slain = make(
    'echo begin; sleep 5; kill -SEGV $$',
    { status: 'failed', exitCode: null, signal: 'SIGSEGV' },
    () => 'begin\n',
  );
  return [silent, chatty, failing, slain].flatMap((planned) => Array.from({ length: 5 }, () => planned));
}

async function backInTime(stack: Stack, load: Load): Promise<void> {
  const { scene } = stack;
  const running = await begin(stack, load, twenty(stack));
  await executor(stack).kill();
  scene.report.fault('kill -9 of an executor with 20 commands, back in 5 s');
  await sleep(5_000);
  executor(stack).start();
  await stack.ready();
  const over = await within(
    60_000,
    async () => (await stateOf(stack, running)).every(({ finishedAt }) => finishedAt !== null),
    250,
  );
  const states = await stateOf(stack, running);
  const adopted = states.filter(({ attempt }) => attempt === 1);
  check(
    scene,
    'an executor back in 5 s adopts all',
    over && adopted.length === running.length,
    `${adopted.length} of ${running.length}`,
  );
  const wrong = states.filter((state, n) =>
    Object.entries(running[n]!.planned.verdict).some(([name, value]) => state[name as keyof RunShape] !== value),
  );
  check(
    scene,
    'every verdict is true',
    wrong.length === 0,
    wrong.map((each) => `${each.status} ${each.exitCode} ${each.signal} ${each.reason}`).join('; '),
  );
  const outputs = await Promise.all(running.map(({ id }) => stack.api.output(id)));
  const torn = running.filter(({ id, planned }, n) => planned.printed(id) !== outputs[n]);
  check(scene, 'every output is equal to the byte', torn.length === 0, `${torn.length} of ${running.length} differ`);
}

const patient = (stack: Stack, seconds: number, policies: object): Planned => ({
  body: (name) => marked(stack, name, beating(stack, `[ $RUNLEDGER_ATTEMPT -gt 1 ] || sleep ${seconds}`), policies),
  verdict: {},
  printed: () => '',
});

const tenAndTen = (stack: Stack, seconds: number): Planned[] =>
  [{}, { retry: { attempts: 2 } }].flatMap((policies) =>
    Array.from({ length: 10 }, () => patient(stack, seconds, policies)),
  );

/** Ten may be tried again and succeed, ten stay lost. */
async function lostAndRetried(stack: Stack, running: Running[], what: string): Promise<void> {
  const { scene } = stack;
  await within(60_000, async () => (await stateOf(stack, running)).every(({ finishedAt }) => finishedAt !== null), 250);
  const states = await stateOf(stack, running);
  const lost = states.slice(0, 10).filter(({ status, attempt }) => status === 'lost' && attempt === 1);
  const again = states.slice(10).filter(({ status, attempt }) => status === 'succeeded' && attempt === 2);
  const told = states.map(({ status, attempt }) => `${status} ${attempt}`);
  check(
    scene,
    `${what}: ten are lost, ten retried`,
    lost.length === 10 && again.length === 10,
    [...new Set(told)].join(', '),
  );
}

async function notBack(stack: Stack, load: Load): Promise<void> {
  const { scene } = stack;
  const running = await begin(stack, load, tenAndTen(stack, 90));
  await executor(stack).kill();
  const at = Date.now();
  scene.report.fault('kill -9 of an executor with 20 commands, not back');
  if (stack.topology === 'solo') {
    // Nobody is there to judge: the next start does, and what ran is gone by then.
    await sleep(30_000);
    const left = processesOf(stack).filter(({ run }) => running.some(({ id }) => id === run));
    check(scene, 'a launcher without its executor ends its commands', left.length === 0, `${left.length} left`);
    executor(stack).start();
    await stack.ready();
  }
  await lostAndRetried(stack, running, 'not back');
  const text = `select max(extract(epoch from recorded_at) * 1000)::float8 as at from event where type = 'RunLost' and stream = any($1)`;
  const { rows } = await stack.pool.query<{ at: number }>(text, [running.map(({ id }) => `run-${id}`)]);
  const took = (rows[0]!.at - at) / 1_000;
  figure(scene, `an executor that does not come back: the last run was lost after ${took.toFixed(1)} s`);
  if (stack.topology === 'cluster') check(scene, 'all are lost within 30 s', took <= 30, `${took.toFixed(1)} s`);
  if (!executor(stack).runs) executor(stack).start();
}

async function launcherDies(stack: Stack, load: Load): Promise<void> {
  const { scene } = stack;
  const running = await begin(stack, load, tenAndTen(stack, 90));
  const before = processesOf(stack).length;
  const pid = stack.launcherPid(1);
  check(scene, 'the launcher and its commands are found', pid > 0 && before >= 20, `${before} processes`);
  process.kill(pid, 'SIGKILL');
  scene.report.fault('kill -9 of a launcher with 20 commands');
  await lostAndRetried(stack, running, 'its launcher killed');
  const gone = await within(5_000, () => processesOf(stack).length === 0);
  check(scene, 'nothing of a killed launcher lives on', gone, `${processesOf(stack).length} left`);
}

async function standsStill(stack: Stack, load: Load): Promise<void> {
  const { scene } = stack;
  const running = await begin(stack, load, tenAndTen(stack, 90));
  executor(stack).pause();
  scene.report.fault('SIGSTOP of an executor for 30 s');
  await sleep(30_000);
  executor(stack).resume();
  const before = await ends(stack, running);
  await lostAndRetried(stack, running, 'stood still for 30 s');
  await sleep(3_000);
  const after = await ends(stack, running);
  const changed = [...before].filter(([id, list]) => !(after.get(id) ?? '').startsWith(list));
  check(scene, 'the woken executor changes nothing', changed.length === 0, `${changed.length} changed`);
}

async function ends({ pool }: Stack, running: readonly Running[]): Promise<Map<string, string>> {
  const text = `select stream, string_agg(type, ' ' order by version) as types from event where stream = any($1)
    and type not in ('RunLateReported', 'RunProgressed') group by stream`;
  const { rows } = await pool.query<{ stream: string; types: string }>(text, [running.map(({ id }) => `run-${id}`)]);
  return new Map(rows.map(({ stream, types }) => [stream, types]));
}
