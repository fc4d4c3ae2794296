/** Schedules that are due each second, while schedulers are killed and stopped: each instant makes one run, and none is late for long. */
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { allEvents, checkInvariants } from '../invariants.js';
import { type LedgerEvent } from '../fold.js';
import { type Member } from '../member.js';
import { check, figure, within, type Scenario, type Scene } from '../scene.js';
import { Stack } from '../stack.js';

const second = 1_000;
const strikeEvery = 5 * second;
const away = 10 * second;
const latest = 2 * second;
const names = ['scheduler-1', 'scheduler-2', 'scheduler-3'];

export const schedules: Scenario = {
  name: 'schedules',
  topologies: ['cluster'],
  async run(scene) {
    const stack = await Stack.start(scene, { schedulers: 3 });
    const count = scene.short ? 20 : 200;
    const processes = await define(stack, count);
    const until = await strike(scene, stack, scene.short ? 15 * second : 60 * second);
    // Whoever was away comes back to what the others have done.
    await sleep(3 * second);
    for (const id of processes) await stack.api.call('DELETE', `/api/v1/processes/${id}`);
    judge(scene, await allEvents(stack.pool), processes, until);
    await checkInvariants(stack, []);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

async function define(stack: Stack, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const body = {
      name: `each second ${n}`,
      action: { kind: 'noop' },
      triggers: [{ cron: '* * * * * *' }],
      policies: { overlap: 'allow', catchUp: 'all' },
    };
    const { status, body: made, text } = await stack.api.post<{ id: string }>('/api/v1/processes', body);
    if (status !== 201) throw new Error(`A process could not be defined: ${status} ${text}`);
    ids.push(made.id);
  }
  return ids;
}

/** Every five seconds one of the schedulers that are there is killed, or stopped, for ten; one is always left. Answers when it was over. */
async function strike(scene: Scene, stack: Stack, ms: number): Promise<number> {
  const { dice, report } = scene;
  const gone = new Set<string>();
  const returns: Promise<void>[] = [];
  for (let passed = 0; passed < ms; passed += strikeEvery) {
    // Who was killed takes a while to start: it is not yet there for the others.
    const oneIsLeft = await within(60 * second, () => gone.size < names.length - 1);
    if (!oneIsLeft) throw new Error(`None of ${[...gone].join(', ')} was back within a minute.`);
    const name = dice.pick(names.filter((each) => !gone.has(each)));
    const member = stack.member(name);
    const kill = dice.chance(0.5);
    gone.add(name);
    if (kill) await member.kill();
    else member.pause();
    report.fault(kill ? 'kill -9 of a scheduler amid due instants' : 'SIGSTOP of a scheduler for 10 s');
    returns.push(
      sleep(away).then(async () => {
        if (kill) await started(member);
        else member.resume();
        gone.delete(name);
      }),
    );
    await sleep(strikeEvery);
  }
  await Promise.all(returns);
  return Date.now();
}

async function started(member: Member): Promise<void> {
  const { log } = member.spec;
  const before = statSync(log).size;
  member.start();
  const there = await within(30 * second, () => readFileSync(log).subarray(before).includes('schedules are kept here'));
  if (!there) throw new Error(`${member.spec.name} did not start within 30 s: see ${log}`);
}

interface Fire {
  at: number;
  late: number;
}

/** Each whole second from its definition to the end of the faults: counted out, not computed by the code under test. */
function judge(scene: Scene, events: readonly LedgerEvent[], processes: readonly string[], until: number): void {
  const fires = new Map<string, Fire[]>(processes.map((id) => [id, []]));
  const defined = new Map<string, number>();
  const told: string[] = [];
  for (const { type, stream, data, recorded } of events) {
    if (type === 'ProcessDefined') defined.set(stream.slice('process-'.length), Date.parse(String(data['at'])));
    if (type.startsWith('ScheduleFires')) told.push(`${type} ${JSON.stringify(data)}`);
    if (type !== 'RunRequested') continue;
    const process = data['process'] as { id: string } | null;
    const at = Date.parse(String(data['scheduledFor']));
    if (process) fires.get(process.id)?.push({ at, late: recorded - at });
  }
  let [expected, missing, doubled, early] = [0, 0, 0, 0];
  for (const id of processes) {
    const of = fires.get(id)!;
    const instants = new Set(of.map(({ at }) => at));
    doubled += of.length - instants.size;
    early += of.filter(({ at, late }) => late < 0 || at <= defined.get(id)! || at % second > 0).length;
    const first = Math.floor(defined.get(id)! / second + 1) * second;
    for (let at = first; at <= until; at += second, expected++) if (!instants.has(at)) missing++;
  }
  const late = [...fires.values()].flatMap((of) => of.map((fire) => fire.late)).sort((a, b) => a - b);
  const percentile = (share: number) => Math.round(late[Math.floor((late.length - 1) * share)] ?? Infinity);
  figure(
    scene,
    `${late.length} runs of ${processes.length} schedules, late by p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms, ${percentile(1)} ms at most`,
  );
  check(scene, 'each due instant made a run', missing === 0, `${expected} due, ${missing} missing`);
  check(scene, 'no due instant made two', doubled === 0, `${doubled} doubled`);
  check(scene, 'nothing ran that was not due', early === 0, `${early} such runs`);
  check(scene, 'no instant was said to have been missed', told.length === 0, told.slice(0, 3).join('; '));
  // A short round shares its machine with other tests: how late it is says nothing.
  if (!scene.short)
    check(scene, 'p99 of lateness is 2 s at most', percentile(0.99) <= latest, `${percentile(0.99)} ms`);
}
