/** Users with limits of their own share executors while limits change and one executor dies: no limit is passed, no slot idles. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../api.js';
import { judgeLimits, longestIdle, type Presence } from '../caps.js';
import { marked, noop, type RunBody } from '../commands.js';
import { type Dice } from '../dice.js';
import { type LedgerEvent } from '../fold.js';
import { allEvents, checkInvariants } from '../invariants.js';
import { Load } from '../load.js';
import { placeOf } from '../occupancy.js';
import { check, figure, within, type Scenario, type Scene } from '../scene.js';
import { linesOf, Stack } from '../stack.js';
import { StallClock } from '../stall-clock.js';

const shares = { a: 0.1, b: 0.2, c: 0.3, d: 0.25, admin: 0.15 };
type Name = keyof typeof shares;
const names = Object.keys(shares) as Name[];
const longestFree = 1_000;

/** When so many of a round's runs are over, this limit becomes that; null takes a user's own away. */
const changes: [share: number, whose: 'default' | Name, most: number | null][] = [
  [0.1, 'default', 2],
  [0.2, 'a', 5],
  [0.3, 'b', 1],
  [0.4, 'default', 12],
  [0.5, 'a', 1],
  [0.6, 'b', null],
  [0.65, 'c', 1],
  [0.7, 'default', 8],
  [0.75, 'c', null],
  [0.75, 'b', 5],
  [0.8, 'a', 2],
];

export const caps: Scenario = {
  name: 'caps',
  topologies: ['solo', 'cluster'],
  async run(scene) {
    const slots = scene.topology === 'solo' ? 16 : 6;
    const stack = await Stack.start(scene, { executors: 3, env: { RUNLEDGER_EXECUTOR_SLOTS: String(slots) } });
    const round = new Round(stack, slots);
    await round.prepare();
    const calm = await round.run(0, () => Promise.resolve());
    nothingWasStopped(scene, await allEvents(stack.pool));
    const struck = await round.run(1, () => round.killExecutor());
    const events = await allEvents(stack.pool);
    // What is judged, for whoever has to find out why.
    writeFileSync(path.join(scene.dir, 'events.jsonl'), events.map((each) => `${JSON.stringify(each)}\n`).join(''));
    round.judge(events);
    const orders = [...calm, ...struck].flatMap((load) => load.orders);
    await checkInvariants(stack, orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

/** What is lowered counts from the next start on: a change of limits ends nothing. */
function nothingWasStopped(scene: Scene, events: readonly LedgerEvent[]): void {
  const signs = ['RunCancelRequested', 'RunCancelled', 'RunLost', 'RunTimedOut', 'RunSkipped'];
  const stopped = events.filter(({ type }) => signs.includes(type));
  check(scene, 'lowering a limit stops nobody', stopped.length === 0, `${stopped.length} stopped`);
}

/** Short, long, failing, failing at first, and some that take no place at all. */
function body(stack: Stack, dice: Dice, key: string): RunBody {
  const policies = { priority: dice.between(0, 10) };
  const kind = dice.next();
  if (kind < 0.05) return { ...noop(key), policies };
  if (kind < 0.25) return marked(stack, key, 'true', policies);
  if (kind < 0.3) return marked(stack, key, 'exit 3', policies);
  const retry = { attempts: 3, delay: `${dice.between(0, 400)}ms` };
  if (kind < 0.4) return marked(stack, key, 'sleep 0.1; [ $RUNLEDGER_ATTEMPT -gt 1 ]', { ...policies, retry });
  const seconds = kind < 0.45 ? dice.between(600, 1_200) : dice.between(20, 300);
  const again = dice.chance(0.3) ? { retry } : {};
  return marked(stack, key, `sleep ${seconds / 1_000}`, { ...policies, ...again });
}

/** Rounds of runs on one stack, and what is known from outside of who was there. */
class Round {
  private readonly clock: StallClock;
  private readonly presences: Presence[] = [];
  private readonly users = new Map<Name, { id: string; api: Api }>();
  private readonly count: number;

  constructor(
    private readonly stack: Stack,
    private readonly slots: number,
  ) {
    this.count = stack.scene.short ? 400 : 2_000;
    this.clock = StallClock.start(stack.scene);
  }

  async prepare(): Promise<void> {
    const { pool, api, topology } = this.stack;
    const executors = topology === 'solo' ? 1 : 3;
    const leases = async () => (await pool.query<{ executor: string }>('select executor from executor_lease')).rows;
    const all = await within(30_000, async () => (await leases()).length === executors);
    check(this.stack.scene, 'every executor is there', all);
    const places = (await leases()).map(({ executor }) => placeOf(executor));
    this.presences.push(...places.map((place) => ({ place, slots: this.slots, from: 0, until: Infinity })));
    const me = await api.get<{ id: string }>('/api/v1/users/me');
    this.users.set('admin', { id: me.body.id, api });
    for (const name of names.filter((each) => each !== 'admin')) this.users.set(name, await this.user(name));
    for (const [whose, most] of [
      ['default', 8],
      ['a', 2],
      ['b', 5],
    ] as const)
      await this.limit(whose, most);
  }

  private async user(name: Name): Promise<{ id: string; api: Api }> {
    const { stack } = this;
    const [email, password] = [`${name}@example.com`, 'a password of theirs'];
    const { body: made } = await stack.api.post<{ id: string }>('/api/v1/users', { email, password, role: 'operator' });
    const api = new Api(stack.api.url, password, email);
    stack.scene.cleanup.add(() => api.close());
    await api.signIn();
    return { id: made.id, api };
  }

  private async limit(whose: 'default' | Name, most: number | null): Promise<void> {
    const where = whose === 'default' ? 'global' : `users/${this.users.get(whose)!.id}`;
    const route = `/api/v1/admin/limits/${where}`;
    // Again while nobody is there to take it.
    const set = async () => (await this.stack.api.post(route, { max_jobs: most })).status === 200;
    if (!(await within(60_000, set))) throw new Error(`The limit of ${whose} could not be set`);
  }

  /** Every user asks for all his runs at once; `midway` begins between two changes of limits. */
  async run(before: number, midway: () => Promise<void>): Promise<Load[]> {
    const { stack, count } = this;
    const { scene } = stack;
    const loads = names.map(
      (name) => new Load(stack, (key) => body(stack, scene.dice, key), 0.02, this.users.get(name)!.api),
    );
    names.forEach((name, n) => loads[n]!.burst(Math.round(count * shares[name])));
    const [first, second] = [changes.slice(0, 5), changes.slice(5)];
    await this.carryOut(first, before);
    await Promise.all([midway(), this.carryOut(second, before)]);
    const settled = await Promise.all(loads.map((load) => load.settle(120_000)));
    check(
      scene,
      'every order was acknowledged',
      settled.every(Boolean),
      `${loads.flatMap(({ orders }) => orders).length}`,
    );
    await within(300_000, async () => (await this.over()) >= (before + 1) * count, 100);
    const over = (await this.over()) - before * count;
    check(scene, 'each run is over once', over === count, `${over} of ${count}`);
    return loads;
  }

  private async carryOut(list: typeof changes, before: number): Promise<void> {
    for (const [share, whose, most] of list) {
      await within(180_000, async () => (await this.over()) >= (before + share) * this.count, 20);
      await this.limit(whose, most);
      this.stack.scene.report.fault('change of a limit amid runs');
    }
  }

  private async over(): Promise<number> {
    const text = `select coalesce(sum(runs), 0)::int as n from run_count where status not in ('queued', 'held', 'running')`;
    return (await this.stack.pool.query<{ n: number }>(text)).rows[0]!.n;
  }

  /** Solo is back before its runs are given up; of three executors one stays away until it is judged. */
  async killExecutor(): Promise<void> {
    const { stack, presences } = this;
    const { scene, pool } = stack;
    const solo = stack.topology === 'solo';
    const member = stack.member('executor-2');
    const at = presences.findIndex(({ place }) => solo || place.endsWith('-2'));
    const { place, slots } = presences[at]!;
    const log = path.join(scene.dir, `${member.spec.name}.log`);
    const starts = () => linesOf(log).filter((line) => line.includes('executor ready')).length;
    const before = starts();
    presences[at] = { ...presences[at]!, until: Date.now() };
    await member.kill();
    scene.report.fault(`kill -9 of ${solo ? 'solo' : 'one of three executors'} amid limited runs`);
    if (solo) await sleep(scene.dice.between(500, 5_000));
    else {
      const held = `select count(*)::int as n from queue where running and executor like $1`;
      const free = async () => (await pool.query<{ n: number }>(held, [`${place}-%`])).rows[0]!.n === 0;
      check(scene, 'what the dead executor held is given up', await within(45_000, free));
    }
    member.start();
    check(scene, 'the killed executor is back', await within(60_000, () => starts() > before, 20));
    presences.push({ place, slots, from: Date.now(), until: Infinity });
    await stack.ready();
  }

  judge(events: readonly LedgerEvent[]): void {
    const { scene } = this.stack;
    const { above, filled, lowered } = judgeLimits(events);
    check(scene, 'no start passes the limit of its owner', above.length === 0, above.slice(0, 5).join('; '));
    const wanted = (['a', 'b', 'c'] as const).map((name) => this.users.get(name)!.id);
    const limits = wanted.map((id) => [...filled].filter((each) => each.startsWith(`${id} `)).length);
    check(
      scene,
      'each limit was filled',
      limits.every((n) => n >= 2),
      `${limits.join(', ')} limits of three users`,
    );
    check(scene, 'some limits fell below what ran', lowered > 0, `${lowered} changes`);
    const { place, ms, stalled, at } = longestIdle(events, this.presences, this.clock.stalls);
    const where = `${ms.toFixed(0)} ms on ${place} from ${new Date(at).toISOString()}, ${stalled.toFixed(0)} ms of stalls left out`;
    figure(scene, `the longest that a slot stayed free while a run could start: ${where}`);
    figure(scene, this.clock.describe());
    check(scene, 'no slot stays free over 1 s while a run could start', ms <= longestFree, where);
  }
}
