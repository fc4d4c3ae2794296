/** Every view is made anew while events come in, killed half-way and made again: nobody who reads notices. */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ledger, type Append } from '#ledger';
import { projections } from '../../../apps/history/src/projections/projections.js';
import { noop } from '../commands.js';
import { checkInvariants } from '../invariants.js';
import { Load } from '../load.js';
import { Member } from '../member.js';
import { check, figure, type Scenario, type Scene } from '../scene.js';
import { linesOf, Stack } from '../stack.js';

export const rebuild: Scenario = {
  name: 'rebuild',
  topologies: ['solo', 'cluster'],
  async run(scene) {
    const stack = await Stack.start(scene);
    const past = await prefill(stack, scene.short ? 2_000 : 20_000);
    const load = new Load(stack, noop, 0);
    await definitions(stack);
    const watch = new Watch(stack, past);
    await watch.caughtUp();
    watch.start();
    // A noop is three events.
    load.trickle(175);
    const [began, from] = [performance.now(), await head(stack)];
    for (const { name } of projections) {
      await aborted(scene, stack, name);
      const ended = await tool(scene, stack, name).exited();
      check(scene, `${name} is made anew under load`, ended === 0, linesOf(toolLog(scene, name)).at(-1));
    }
    const rate = ((await head(stack)) - from) / ((performance.now() - began) / 1_000);
    check(scene, 'about 500 events/s were written meanwhile', rate > 450, `${rate.toFixed(0)}/s`);
    await load.settle();
    await watch.stop();
    await checkInvariants(stack, load.orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

const head = async ({ pool }: Stack) =>
  Number((await pool.query<{ last: string }>('select max(last) as last from block')).rows[0]!.last);

/** A past, so that a rebuild takes a while: runs of which only the events were ever there. */
async function prefill({ pool }: Stack, count: number): Promise<string[]> {
  const ledger = new Ledger(pool);
  const at = new Date().toISOString();
  const ids = Array.from({ length: count }, () => randomUUID() as string);
  const all = ids.map((id, n): Append => {
    const birth = {
      ...{
        number: 1_000_000 + n,
        name: `past ${n}`,
        process: null,
        action: { kind: 'noop' },
        policies: {},
        priority: 5,
      },
      ...{
        owner: 'past',
        batch: null,
        scheduledFor: null,
        retryOf: null,
        parameters: null,
        payload: null,
        requestedAt: at,
      },
    };
    const end = { attempt: 1, at, exitCode: 0, signal: null, output: null };
    return {
      stream: `run-${id}`,
      expected: 0,
      events: [
        { type: 'RunRequested', data: birth },
        { type: 'RunStarted', data: { attempt: 1, epoch: `past-${n}`, executor: 'past', server: 'past', at } },
        { type: 'RunSucceeded', data: end },
      ],
      meta: { now: at, actor: 'past', correlationId: 'past', commandId: randomUUID() },
    };
  });
  for (let n = 0; n < all.length; n += 1_000)
    await Promise.all(all.slice(n, n + 1_000).map((append) => ledger.append(append)));
  return ids;
}

async function definitions({ api }: Stack): Promise<void> {
  for (let n = 0; n < 40; n++) {
    const { body } = await api.post<{ id: string }>('/api/v1/processes', {
      name: `defined ${n}`,
      action: { kind: 'noop' },
    });
    if (n % 4 === 0) await api.post(`/api/v1/processes/${body.id}/disable`, {});
  }
}

const toolLog = (scene: Scene, view: string) => path.join(scene.dir, `rebuild-${view}.log`);

function tool(scene: Scene, stack: Stack, view: string): Member {
  const args = [path.join(scene.dist, 'deploy/local/rebuild.js'), view];
  const env = { ...process.env, DATABASE_URL: stack.databaseUrl };
  const member = new Member({
    name: `rebuild-${view}`,
    args,
    env,
    log: toolLog(scene, view),
    onMessage: () => undefined,
  });
  scene.cleanup.add(() => member.kill());
  member.start();
  return member;
}

/** Killed some time after its shadow is there; one that was too quick for that is made again and killed sooner. */
async function aborted(scene: Scene, stack: Stack, view: string): Promise<void> {
  let midway = false;
  for (let within = scene.short ? 60 : 400; !midway && within > 0; within = Math.floor(within / 3)) {
    const member = tool(scene, stack, view);
    await begun(stack, member, view);
    await sleep(scene.dice.between(0, within));
    midway = member.runs;
    await member.kill();
  }
  if (midway) scene.report.fault(`kill -9 of a rebuild half-way`);
  check(scene, `the first rebuild of ${view} was killed half-way`, midway);
}

async function begun({ pool }: Stack, member: Member, view: string): Promise<void> {
  // The killed one before it has left its shadow: only a new table is this one's.
  const text = `select to_regclass('${view}_next')::oid::text as oid`;
  const shadow = async () => (await pool.query<{ oid: string | null }>(text)).rows[0]!.oid;
  const left = await shadow();
  for (let now = left; member.runs && (now === left || now === null); now = await shadow()) await sleep(2);
}

/** Readers who know what must be there: the past is whole, and the number of runs never falls. */
class Watch {
  private readonly readers: Promise<void>[] = [];
  private stopping = false;
  private reads = 0;
  private slowest = 0;
  private readonly faults: string[] = [];

  constructor(
    private readonly stack: Stack,
    private readonly past: readonly string[],
  ) {}

  async caughtUp(): Promise<void> {
    while (
      Number((await this.stack.pool.query<{ n: string }>('select count(*) as n from run_view')).rows[0]!.n) <
      this.past.length
    ) {
      await sleep(100);
    }
  }

  start(): void {
    this.readers.push(
      this.read(() => this.one()),
      this.read(() => this.list()),
      this.read(() => this.count()),
      this.read(() => this.defined()),
    );
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.readers);
    const { scene } = this.stack;
    check(
      scene,
      'no read failed or saw a half-built view',
      this.faults.length === 0,
      `${this.reads} reads, ${this.faults.length} bad ${this.faults[0] ?? ''}`,
    );
    figure(scene, `${this.reads} reads during the rebuilds, the slowest ${this.slowest.toFixed(0)} ms`);
  }

  private async read(look: () => Promise<string | null>): Promise<void> {
    while (!this.stopping) {
      const began = performance.now();
      const fault = await look().catch((error: Error) => error.message);
      this.slowest = Math.max(this.slowest, performance.now() - began);
      this.reads++;
      if (fault) this.faults.push(fault);
      await sleep(10);
    }
  }

  private async one(): Promise<string | null> {
    const { status, text } = await this.stack.api.get(`/api/v1/runs/${this.stack.scene.dice.pick(this.past)}`);
    return status === 200 ? null : `a run of the past: ${status} ${text}`;
  }

  private async list(): Promise<string | null> {
    const { status, body } = await this.stack.api.get<{ items: unknown[] }>('/api/v1/runs?limit=100&status=succeeded');
    return status === 200 && body.items.length === 100 ? null : `a page of runs: ${status}, ${body?.items?.length}`;
  }

  private most = 0;

  private async count(): Promise<string | null> {
    const text = 'select (select count(*) from run_view)::int as n, (select sum(runs) from run_count)::int as counted';
    const { n, counted } = (await this.stack.pool.query<{ n: number; counted: number }>(text)).rows[0]!;
    const fault =
      n < this.most ? `${n} runs after ${this.most}` : n === counted ? null : `${n} runs, ${counted} counted`;
    this.most = Math.max(this.most, n);
    return fault;
  }

  private async defined(): Promise<string | null> {
    const { status, body } = await this.stack.api.get<{ items: unknown[] }>('/api/v1/processes?limit=100');
    return status === 200 && body.items.length === 40 ? null : `the processes: ${status}, ${body?.items?.length}`;
  }
}
