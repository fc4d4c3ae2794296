/** Ten thousand schedules: what they cost while nothing is due, and what happens when all are due in the same second. */
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { memory } from '../lib/processes.mjs';
import { startProduct } from '../lib/product.mjs';
import { load, stolen } from '../lib/stage.mjs';
import { judged, quantile, rounded } from '../lib/stats.mjs';

const lanes = 32;
/** Percent of the machine's time. */
const mostLost = 3;
/** As most of what is scheduled: it takes longer than to be recorded, so that the slots are taken and the rest waits in the queue. */
const lasting = { kind: 'command', command: ['sleep', '10'] };
/** The most there could be to write at once: each is claimed, begun and over in the seconds in which the others are recorded. */
const fleeting = { kind: 'noop' };

/** @param {import('../lib/stage.mjs').Stage} stage */
export async function run(stage) {
  const count = stage.quick ? 500 : 10_000;
  const idle = [];
  const due = [];
  const noops = [];
  for (let round = 0; round < stage.rounds; round++) {
    idle.push(await idleRound(stage, count));
    const { cpu, rss } = idle.at(-1);
    console.log(`  round ${round + 1}: ${cpu} % of a core and ${rss} MB over none`);
    due.push(await undisturbed(() => dueRound(stage, count, lasting), `round ${round + 1}`));
    noops.push(await undisturbed(() => dueRound(stage, count, fleeting), `round ${round + 1}, no-ops`));
  }
  const line = (key, title, wanted, rounds, of) =>
    judged({
      ...{ key: `schedules/${key}`, title, lower: true, ...wanted },
      rounds: rounds.map((each) => ({ value: of(each), ...each })),
    });
  const all = `${count} schedules of a command`;
  const recorded = 'due at once: until all are recorded';
  const lists = 'p95 of a list meanwhile, against quiet';
  return [
    line('idle-cpu', `${all}, none due: CPU over none`, { must: 2, unit: '% of a core' }, idle, ({ cpu }) => cpu),
    line('idle-memory', `${all}, none due: memory over none`, { must: 60, unit: 'MB' }, idle, ({ rss }) => rss),
    line('due', `${all} ${recorded}`, { must: 5, unit: 's' }, due, ({ seconds }) => seconds),
    line('lists', lists, { must: 3 }, due, ({ ratio }) => ratio),
    line(
      'due-noop',
      `${count} schedules of a no-op ${recorded}`,
      { aim: 5, unit: 's' },
      noops,
      ({ seconds }) => seconds,
    ),
    line('lists-noop', `${lists}, no-ops`, { aim: 3 }, noops, ({ ratio }) => ratio),
  ];
}

/** Where the host takes much of the time, a round says nothing of the product: it is taken again, five times at most. */
async function undisturbed(measure, name) {
  for (let attempt = 1; ; attempt++) {
    const round = await measure();
    const { seconds, ratio, quiet, busy, lost } = round;
    const told = `all recorded in ${seconds} s; a list's p95 ${quiet} -> ${busy} ms (${ratio} x); ${lost} % taken by the host`;
    console.log(`  ${name}: ${told}`);
    if (lost <= mostLost || attempt === 5) return round;
  }
}

async function define(product, count, action, trigger) {
  let next = 0;
  const lane = async () => {
    for (let n = next++; n < count; n = next++) {
      const body = { name: `Schedule ${n}`, action, triggers: [trigger] };
      await product.api.call('POST', '/api/v1/processes', JSON.stringify(body));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Each on a product that was just started: what defining them leaves behind is another matter. */
async function costOf(stage, database) {
  const product = await startProduct(stage, 'solo', { database, client: { connections: 1 } });
  try {
    await sleep(stage.quick ? 3_000 : 15_000);
    const [began, before] = [performance.now(), product.cpu()];
    await sleep(stage.quick ? 5_000 : 30_000);
    const cpu = ((product.cpu() - before) / (performance.now() - began)) * 100_000;
    return { cpu, rss: memory(product.processes()).rss };
  } finally {
    await product.stop({ keep: true });
  }
}

async function idleRound(stage, count) {
  const database = await stage.database('schedules_idle');
  try {
    const none = await costOf(stage, database);
    const product = await startProduct(stage, 'solo', { database, client: { connections: lanes } });
    await define(product, count, lasting, { cron: '0 0 1 1 *' });
    await product.stop({ keep: true });
    const all = await costOf(stage, database);
    return { cpu: rounded(all.cpu - none.cpu), rss: rounded(all.rss - none.rss), load: load() };
  } finally {
    await database.drop();
  }
}

/** A call now and then, as somebody does who looks at the list: not a load of its own. */
async function listing(product, until) {
  const times = [];
  while (!(await until())) {
    const began = performance.now();
    await product.api.call('GET', '/api/v1/runs?limit=50');
    times.push(performance.now() - began);
    await sleep(30);
  }
  return quantile(times, 0.95);
}

async function dueRound(stage, count, action) {
  const product = await startProduct(stage, 'solo', { client: { connections: lanes } });
  const { database } = product;
  try {
    const at = Date.now() + (stage.quick ? 15_000 : 120_000);
    await define(product, count, action, { at: new Date(at).toISOString() });
    if (Date.now() > at - 8_000) throw new Error('the schedules were due before they could all be defined');
    // The pages that are asked for are full.
    for (let n = 0; n < 100; n++)
      await product.api.call('POST', '/api/v1/runs', JSON.stringify({ action: { kind: 'noop' } }));
    await sleep(at - Date.now() - 6_000);
    const [before, begun] = [stolen(), performance.now()];
    const quiet = await listing(product, () => Date.now() > at - 1_000);
    // From here on only: reading the whole of the ledger twice a second would be most of what is measured.
    const head = await database.one('select max(position) from event');
    await sleep(at - Date.now());
    const text = `select count(*)::integer as n, extract(epoch from max(recorded_at)) * 1000 as last from event
      where position > ${head} and type = 'RunRequested'`;
    let last = 0;
    let asked = 0;
    const busy = await listing(product, async () => {
      if (Date.now() > at + 60_000) throw new Error(`only ${last} of ${count} were recorded within a minute`);
      if (Date.now() - asked < 500) return false;
      asked = Date.now();
      const { rows } = await database.query(text);
      last = rows[0].n;
      return last >= count;
    });
    const lost = rounded(((stolen() - before) / os.availableParallelism() / (performance.now() - begun)) * 100_000);
    const { rows } = await database.query(text);
    if (rows[0].n !== count) throw new Error(`${rows[0].n} runs instead of ${count}`);
    const seconds = rounded((Number(rows[0].last) - at) / 1_000);
    return { seconds, ratio: rounded(busy / quiet), quiet: rounded(quiet), busy: rounded(busy), lost, load: load() };
  } finally {
    await product.stop();
  }
}
