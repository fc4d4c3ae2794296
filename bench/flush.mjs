/**
 * `node flush.mjs`: what one flush costs PostgreSQL (CPU, and time as the client sees it), by what is in it, on a ledger with 6,000
 * waiting runs. Nothing waits for the disk (`synchronous_commit` off): what is left is the statements. `BENCH_PRODUCT` as elsewhere.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { processOf } from './lib/processes.mjs';
import { startProduct } from './lib/product.mjs';
import { fromProduct, Stage } from './lib/stage.mjs';

const { compose } = await fromProduct('libs/ledger/src/flush-call.js');
const { write } = await fromProduct('libs/ledger/src/append.js');

const now = () => new Date().toISOString();
const meta = () => ({ actor: 'bench', now: now(), correlationId: randomUUID(), commandId: randomUUID() });
const append = (stream, expected, types, alongside = {}) =>
  write({ stream, expected, events: types.map((type) => ({ type, data: { at: now() } })), meta: meta() }, alongside);
const queued = { process: null, owner: 'bench', priority: 5, overlap: 'allow', weight: 1, work: {} };
const birth = (run = randomUUID()) =>
  append(`run-${run}`, 0, ['RunRequested'], { queue_add: [{ ...queued, run, correlation: run }] });
const end = (run) => append(`run-${run}`, 2, ['RunSucceeded'], { queue_end: [{ run }] });
const claim = (slots) => write(null, { claim: [{ executor: 'bench', slots, light: 1_000 }] });
const noop = () => append(`run-${randomUUID()}`, 0, ['RunRequested', 'RunStarted', 'RunSucceeded']);
const times = (count, make) => Array.from({ length: count }, make);

const stage = await Stage.open({ quick: false, rounds: 1 });
try {
  const product = await startProduct(stage, 'solo', { client: { connections: 1 } });
  await product.stop({ keep: true });
  const client = new pg.Client({ connectionString: product.database.url });
  await client.connect();
  await client.query('set synchronous_commit = off');
  await client.query(`insert into executor_lease (executor, server, until) values ('bench', 'bench', 'infinity')`);
  // What is claimed here is not always ended: no limit may end the claiming.
  await client.query(`insert into run_limit (owner, most) values ('bench', 1000000)`);
  const { pid } = (await client.query('select pg_backend_pid() as pid')).rows[0];
  const flush = async (entries) => (await client.query(compose(entries))).rows[0].answer;
  for (let i = 0; i < 30; i++) await flush(times(200, () => birth()));
  await client.query('analyze');

  const running = [];
  const started = ({ hooks }) => running.push(...hooks.claim.claimed.map(({ run }) => run));
  // As many as there are slots: the claim counts what runs.
  started(await flush([claim(8)]));
  const shapes = {
    nothing: () => flush([]),
    'a birth': () => flush([birth()]),
    'an append of one event': () => flush([append(`bench-${randomUUID()}`, 0, ['Noted'])]),
    'three ends and a claim of three': async () =>
      started(await flush([...times(3, () => end(running.shift())), claim(3)])),
    'three ends, then a claim of three': async () => {
      await flush(times(3, () => end(running.shift())));
      started(await flush([claim(3)]));
    },
    'sixty-four no-ops': () => flush(times(64, noop)),
  };
  for (const [name, once] of Object.entries(shapes)) {
    const count = 200;
    for (let i = 0; i < 20; i++) await once();
    const [cpu, began] = [processOf(pid).cpu, performance.now()];
    for (let i = 0; i < count; i++) await once();
    const took = Math.round(((performance.now() - began) / count) * 1_000);
    const spent = Math.round(((processOf(pid).cpu - cpu) / count) * 1e6);
    console.log(`${name.padEnd(33)} ${String(spent).padStart(6)} µs of CPU ${String(took).padStart(6)} µs`);
  }
  await client.end();
  await product.database.drop();
} finally {
  await stage.close();
}
