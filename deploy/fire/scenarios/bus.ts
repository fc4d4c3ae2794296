/** nats-server dies and stands still; its messages are lost, doubled and late: accepted runs run, and soon. */
import { setTimeout as sleep } from 'node:timers/promises';
import { marked, noop } from '../commands.js';
import { percentile } from '../dice.js';
import { checkInvariants } from '../invariants.js';
import { Load } from '../load.js';
import { NatsProxy } from '../nats-proxy.js';
import { check, figure, within, type Scenario, type Scene } from '../scene.js';
import { Stack } from '../stack.js';

interface Setting {
  readonly stack: Stack;
  readonly load: Load;
  readonly proxy: NatsProxy;
}

export const bus: Scenario = {
  name: 'bus',
  topologies: ['cluster'],
  async run(scene) {
    const { dice, cleanup } = scene;
    let proxy: NatsProxy | undefined;
    const stack = await Stack.start(scene, {
      executors: 2,
      viaPort: async (port) => {
        proxy = new NatsProxy(port, dice);
        const own = proxy;
        cleanup.add(() => own.close());
        return proxy.listen();
      },
    });
    const load = new Load(stack, (key) =>
      dice.chance(0.2) ? marked(stack, key, ':', { retry: { attempts: 3 } }) : noop(key),
    );
    load.trickle(25);
    await sleep(2_000);
    const setting = { stack, load, proxy: proxy! };
    await dies(setting);
    await pauses(setting);
    await cuts(setting);
    await disturbs(setting, 'doubled', { double: 1 });
    await disturbs(setting, 'delayed', { delay: 1, delayMs: 400 });
    await disturbs(setting, '20 % dropped', { drop: 0.2 });
    check(scene, 'every order was acknowledged in the end', await load.settle(60_000));
    const { passed, dropped, doubled, delayed } = setting.proxy.tally;
    scene.report.fault('message of the bus dropped', dropped);
    scene.report.fault('message of the bus doubled', doubled);
    scene.report.fault('message of the bus delayed', delayed);
    figure(scene, `${passed} messages passed, ${dropped} dropped, ${doubled} doubled, ${delayed} delayed`);
    await startsAreSoon(scene, stack);
    await checkInvariants(stack, load.orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

const lasting = (scene: Scene) => (scene.short ? 2_000 : 8_000);

async function dies({ stack, load }: Setting): Promise<void> {
  const { scene, nats } = stack;
  process.kill(nats!.pid, 'SIGKILL');
  scene.report.fault('kill -9 of nats-server');
  await sleep(500);
  const began = performance.now();
  const { status } = await stack.api.post<unknown>('/api/v1/runs', noop('while the bus is away'));
  const took = performance.now() - began;
  check(
    scene,
    'without a bus an order is refused at once',
    status === 503 && took < 1_000,
    `${status} after ${took.toFixed(0)} ms`,
  );
  await sleep(lasting(scene));
  await stack.startNats(nats!.port);
  await back(stack, load, 'killed');
}

async function pauses({ stack, load }: Setting): Promise<void> {
  const { scene, nats } = stack;
  const { pid } = stack.nats ?? nats!;
  process.kill(pid, 'SIGSTOP');
  scene.report.fault('SIGSTOP of nats-server');
  await sleep(lasting(scene));
  process.kill(pid, 'SIGCONT');
  await back(stack, load, 'paused');
}

async function cuts({ stack, load, proxy }: Setting): Promise<void> {
  for (let n = 0; n < 5; n++) {
    proxy.cut();
    stack.scene.report.fault('all connections to nats-server cut');
    await sleep(700);
  }
  await back(stack, load, 'cut off');
}

async function disturbs(
  { stack, load, proxy }: Setting,
  what: string,
  mischief: Parameters<NatsProxy['play']>[0],
): Promise<void> {
  proxy.play(mischief);
  await sleep(lasting(stack.scene));
  proxy.play({});
  await back(stack, load, what);
}

/** Well again: an order is accepted and its run has run. */
async function back({ scene, api }: Stack, load: Load, what: string): Promise<void> {
  const began = performance.now();
  const well = await within(20_000, async () => {
    const { status, body } = await api.post<{ id: string }>('/api/v1/runs', noop('is it back'));
    if (status !== 202) return false;
    return within(
      4_000,
      async () => (await api.get<{ status: string }>(`/api/v1/runs/${body.id}`)).body.status === 'succeeded',
    );
  });
  const took = (performance.now() - began) / 1_000;
  check(
    scene,
    `${what}: everything is back within 10 s`,
    well && took <= 10,
    `${took.toFixed(1)} s, ${load.unanswered} unanswered`,
  );
}

async function startsAreSoon(scene: Scene, { pool }: Stack): Promise<void> {
  const text = `select (extract(epoch from s.recorded_at - r.recorded_at) * 1000)::float8 as ms from event r
    join event s on s.stream = r.stream and s.type = 'RunStarted' where r.type = 'RunRequested' and (s.data->>'attempt')::int = 1`;
  const waits = (await pool.query<{ ms: number }>(text)).rows.map(({ ms }) => ms);
  const most = Math.max(...waits);
  check(
    scene,
    'every accepted run starts within 4 s',
    most <= 4_000,
    `${waits.length} runs, p95 ${percentile(waits, 0.95).toFixed(0)} ms, the last ${most.toFixed(0)} ms`,
  );
}
