/** Kill -9 of services and immediate stops of PostgreSQL amid requests; all are sent again by key until they are answered. */
import { setTimeout as sleep } from 'node:timers/promises';
import { marked, noop } from '../commands.js';
import { checkInvariants } from '../invariants.js';
import { Load } from '../load.js';
import { check, figure, within, type Scenario, type Scene } from '../scene.js';
import { Stack } from '../stack.js';

const leastUnanswered = 50;
/** Those that a request passes through are struck more often. */
const victims = [
  'gateway-1',
  'executor-1',
  'gateway-1',
  'executor-1',
  'gateway-1',
  'executor-1',
  'history-1',
  'scheduler-1',
  'auth-1',
];

export const crash: Scenario = {
  name: 'crash',
  topologies: ['solo', 'cluster'],
  async run(scene) {
    const stack = await Stack.start(scene);
    const { dice } = scene;
    const load = new Load(stack, (key) =>
      dice.chance(0.06) ? marked(stack, key, 'sleep 0.1', { retry: { attempts: 5 } }) : noop(key),
    );
    load.trickle(20);
    const times = scene.short ? 2 : 20;
    const struck: number[] = [];
    for (let n = 0; n < times; n++) struck.push(await killService(scene, stack, load));
    for (let n = 0; n < times; n++) struck.push(await stopPostgres(scene, stack, load));
    // What had become of a request when its answer was lost is chance: more of the same until both were met.
    for (let n = 0; n < 10 && !metBoth(await outcomes(stack, load)); n++)
      struck.push(await killService(scene, stack, load));
    const all = await load.settle(90_000);
    check(scene, 'every order was acknowledged in the end', all, `${load.orders.length} orders`);
    const few = struck.filter((count) => count < leastUnanswered);
    check(scene, `each fault met ${leastUnanswered} unanswered requests or more`, few.length === 0, struck.join(' '));
    reportOutcomes(scene, await outcomes(stack, load), load);
    await checkInvariants(stack, load.orders);
    check(scene, 'it stops by itself when asked', await stack.stop());
  },
};

/** A burst, and a moment in it at which some are answered and enough are not. */
async function amid(scene: Scene, load: Load): Promise<number> {
  for (let size = 160; ; size += 80) {
    const before = load.acknowledged;
    const some = scene.dice.between(0, 60);
    load.burst(size);
    const enough = await within(
      10_000,
      () => load.acknowledged - before >= some || load.unanswered < leastUnanswered,
      1,
    );
    await sleep(scene.dice.between(0, 8));
    if ((enough && load.unanswered >= leastUnanswered) || size > 800) return load.strike();
  }
}

async function killService(scene: Scene, stack: Stack, load: Load): Promise<number> {
  const name = scene.topology === 'solo' ? 'solo' : scene.dice.pick(victims);
  const member = stack.member(name);
  const count = await amid(scene, load);
  await member.kill();
  scene.report.fault(`kill -9 of ${name} amid requests`);
  await sleep(scene.dice.between(0, 800));
  member.start();
  await stack.ready();
  await sleep(scene.dice.between(100, 500));
  return count;
}

async function stopPostgres(scene: Scene, stack: Stack, load: Load): Promise<number> {
  const count = await amid(scene, load);
  await scene.store.crash();
  scene.report.fault('immediate stop of PostgreSQL amid requests');
  await sleep(scene.dice.between(0, 800));
  await scene.store.restart();
  await stack.ready();
  await sleep(scene.dice.between(100, 500));
  return count;
}

interface Outcomes {
  carriedOut: number;
  not: number;
  refused: number;
}

const metBoth = ({ carriedOut, not }: Outcomes) => carriedOut > 0 && not > 0;

/** An unanswered request was carried out or it was not: its event was recorded before it was sent again, or after. */
async function outcomes({ pool }: Stack, load: Load): Promise<Outcomes> {
  const text = `select data->>'name' as key, (extract(epoch from recorded_at) * 1000)::float8 as at from event where type = 'RunRequested'`;
  const { rows } = await pool.query<{ key: string; at: number }>(text);
  const recorded = new Map(rows.map(({ key, at }) => [key, at]));
  let [carriedOut, not, refused] = [0, 0, 0];
  for (const { key, attempts } of load.orders) {
    for (const [n, attempt] of attempts.entries()) {
      const next = attempts[n + 1];
      if (!attempt.struck || !next || (attempt.status !== null && attempt.status < 300)) continue;
      if (attempt.status !== null) refused++;
      if ((recorded.get(key) ?? Infinity) < next.sentAt) carriedOut++;
      else not++;
    }
  }
  return { carriedOut, not, refused };
}

function reportOutcomes(scene: Scene, found: Outcomes, load: Load): void {
  const { carriedOut, not, refused } = found;
  figure(
    scene,
    `struck requests without a 2xx: ${carriedOut} had been carried out, ${not} had not (${refused} had a refusal)`,
  );
  check(scene, 'both outcomes of an unanswered request were met', metBoth(found), `${carriedOut} and ${not}`);
  figure(scene, `${load.repeats} answered orders repeated on purpose`);
}
