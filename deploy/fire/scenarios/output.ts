/** Commands that print without end, and watchers that read too slowly: memory stays bounded, neighbours feel little. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunShape } from '../api.js';
import { marked } from '../commands.js';
import { percentile } from '../dice.js';
import { checkInvariants } from '../invariants.js';
import { Load, type Order } from '../load.js';
import { Member } from '../member.js';
import { check, figure, within, type Scenario, type Scene } from '../scene.js';
import { linesOf, Stack } from '../stack.js';
import { type Watched } from './output-watchers.js';

const watcherCount = 50;
const slowWatchers = 10;

export const output: Scenario = {
  name: 'output',
  topologies: ['solo', 'cluster'],
  async run(scene) {
    const stack = await Stack.start(scene);
    const load = new Load(stack, () => ({}));
    const quiet = await neighbours(stack, load, scene.short ? 20 : 100);
    const memory = new Memory(stack);
    await memory.settle();
    const bytes = scene.short ? 64 * 1_048_576 : 1_073_741_824;
    const floods: [string, string, number, number][] = [
      [
        'many lines',
        `yes 'a line of output that is as long as lines often are, eighty bytes of it' | head -c ${bytes}; exit 7`,
        bytes,
        7,
      ],
      ['one line', `head -c ${bytes} /dev/zero | tr '\\0' x; exit 8`, bytes, 8],
      ['invalid UTF-8', `head -c 52428800 /dev/zero | tr '\\0' '\\303'; printf '\\377\\376'; exit 9`, 52_428_802, 9],
    ];
    memory.start();
    const begun: Order[] = [];
    for (const [, shell] of floods) begun.push(await load.one((key) => marked(stack, key, shell)));
    const { seen, member } = watch(stack, begun[0]!.run!);
    const served = await within(30_000, () => seen.served >= watcherCount - slowWatchers);
    const disturbed = await neighbours(stack, load, scene.short ? 40 : 400);
    const over = await within(
      300_000,
      async () => (await states(stack, begun)).every(({ finishedAt }) => finishedAt !== null),
      250,
    );
    check(scene, 'all floods came to an end', over);
    for (const [n, state] of (await states(stack, begun)).entries()) judge(scene, floods[n]!, state);
    check(scene, 'the watchers were served', served, `${seen.served} of 50 saw output, ${seen.cut} were cut off`);
    memory.judge();
    await member.kill();
    const [before, meanwhile] = [percentile(quiet, 0.95), percentile(disturbed, 0.95)];
    figure(
      scene,
      `a neighbour's start, p50: ${percentile(quiet, 0.5).toFixed(0)} / ${percentile(disturbed, 0.5).toFixed(0)}; p95: ${before.toFixed(0)} ms quiet, ${meanwhile.toFixed(0)} ms meanwhile`,
    );
    check(
      scene,
      "a neighbour's start p95 at most doubles",
      meanwhile <= 2 * before,
      `${(meanwhile / before).toFixed(1)} times`,
    );
    await load.settle();
    await checkInvariants(stack, load.orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

const states = (stack: Stack, orders: readonly Order[]) =>
  Promise.all(orders.map(({ run }) => stack.api.get<RunShape>(`/api/v1/runs/${run}`).then(({ body }) => body)));

function judge(scene: Scene, [what, , bytes, code]: [string, string, number, number], state: RunShape): void {
  scene.report.fault(`flood of output: ${what}`);
  check(
    scene,
    `${what}: its true size is recorded`,
    state.output?.bytes === bytes,
    `${state.output?.bytes} of ${bytes}`,
  );
  check(
    scene,
    `${what}: its exit code is right`,
    state.exitCode === code && state.status === 'failed',
    `${state.status} ${state.exitCode}, ${state.reason}`,
  );
}

/** 50 watchers, ten of which read one kilobyte a second; apart, or the harness would measure how busy it is itself. */
function watch({ api, scene }: Stack, run: string): { seen: Watched; member: Member } {
  scene.report.fault('watcher that reads 1 kB/s', slowWatchers);
  const seen: Watched = { served: 0, cut: 0 };
  const member = new Member({
    name: 'watchers',
    args: [
      path.join(scene.dist, 'deploy/fire/scenarios/output-watchers.js'),
      api.url,
      run,
      String(watcherCount),
      String(slowWatchers),
    ],
    env: { ...process.env, FIRE_TOKEN: api.bearer },
    log: path.join(scene.dir, 'watchers.log'),
    onMessage: (now) => Object.assign(seen, now),
  });
  scene.cleanup.add(() => member.kill());
  member.start();
  return { seen, member };
}

/** From the order to the command's own first deed, one after another. */
async function neighbours(stack: Stack, load: Load, count: number): Promise<number[]> {
  const waits: number[] = [];
  const file = path.join(stack.scene.dir, 'first-deeds');
  for (let n = 0; n < count; n++) {
    const sent = Date.now();
    const order = await load.one((key) => marked(stack, key, `echo "$RUNLEDGER_RUN_ID $(date +%s%3N)" >> '${file}'`));
    const line = () => linesOf(file).find((each) => each.startsWith(order.run!));
    await within(20_000, () => line() !== undefined, 10);
    waits.push(Number(line()?.split(' ')[1] ?? sent + 20_000) - sent);
    await sleep(20);
  }
  return waits;
}

/** What the services and launchers hold, over what they held when nothing happened. */
class Memory {
  private idle = 0;
  private most = 0;
  private idleParts = '';
  private parts = '';
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly stack: Stack) {}

  async settle(): Promise<void> {
    await sleep(3_000);
    const seen: number[] = [];
    for (let n = 0; n < 10; n++, await sleep(100)) seen.push(this.now());
    this.idle = percentile(seen, 0.5);
    this.idleParts = this.describe();
  }

  start(): void {
    this.timer = setInterval(() => this.look(), 200);
    this.stack.scene.cleanup.add(() => clearInterval(this.timer));
  }

  judge(): void {
    clearInterval(this.timer);
    const { scene } = this.stack;
    const growth = this.most - this.idle;
    figure(
      scene,
      `resident memory: ${this.idle.toFixed(0)} MB idle (${this.idleParts}), ${this.most.toFixed(0)} MB at most (${this.parts})`,
    );
    check(scene, 'services and launcher grow by 100 MB at most', growth <= 100, `${growth.toFixed(0)} MB`);
  }

  private look(): void {
    const now = this.now();
    if (now <= this.most) return;
    this.most = now;
    this.parts = this.describe();
  }

  private describe(): string {
    return this.processes()
      .map(([name, pid]) => `${name} ${residentMb(pid).toFixed(0)}`)
      .join(', ');
  }

  private now(): number {
    return this.processes().reduce((sum, [, pid]) => sum + residentMb(pid), 0);
  }

  private processes(): [string, number][] {
    const members = [...this.stack.members].map(([name, { pid }]): [string, number] => [name, pid]);
    return [...members, ...this.stack.launchers().map((pid): [string, number] => ['launcher', pid])];
  }
}

function residentMb(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_024;
  } catch {
    return 0;
  }
}
