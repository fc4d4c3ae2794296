/**
 * 10,000 runs in one HTTP call: how fast they are accepted, beside a peer's bulk insert of as many; how fast `true` is then
 * worked off, beside the same asked for one by one; whether the counters are right whenever one looks; and what it takes of memory.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { measureRuns } from './noop.mjs';
import { measurePeer } from './peer.mjs';
import { Residents } from './processes.mjs';
import { assertCounted, command, startProduct, succeeded, untilRecorded } from './product.mjs';
import { alternate, ratios } from './rounds.mjs';
import { judged, rounded } from './stats.mjs';

const lanes = 32;
const noops = { path: '/api/v1/batches', body: (size) => ({ runs: Array(size).fill({ action: { kind: 'noop' } }) }) };
const jobs = {
  path: '/api/v1/job-batches',
  body: (size) => ({ name: 'bench', jobs: Array(size).fill({ command: ['true'] }) }),
};
const pollEvery = 250;
/** All jobs come with the answer to this one. */
const fullPollEvery = 16;

/** @param {import('./stage.mjs').Stage} stage */
export async function largeBatchScenario(stage, topology) {
  const size = stage.quick ? 1_000 : 10_000;
  const single = stage.quick ? 400 : 4_000;
  const env = { RUNLEDGER_EXECUTOR_SLOTS: '8' };
  const product = await startProduct(stage, topology, { env, client: { connections: lanes } });
  try {
    // What single runs leave behind is not the batches'.
    let all = single;
    await measureRuns(product, command, { count: all, lanes });
    const residents = new Residents(product.processes());
    const counted = async (runs, measured) => {
      const result = await measured;
      await assertCounted(product, (all += runs));
      return result;
    };
    const inBatch = async (kind) => {
      await product.database.query('analyze');
      return counted(
        size,
        residents.during(() => measureBatch(product, kind, size)),
      );
    };
    const results = await alternate(
      stage,
      {
        noops: () => inBatch(noops),
        'pg-boss': () => measurePeer(stage, 'pg-boss', { count: size, size, lanes: 1, batch: true, connections: 10 }),
        jobs: () => inBatch(jobs),
        single: async () => {
          await product.database.query('analyze');
          return counted(single, measureRuns(product, command, { count: single, lanes }));
        },
      },
      ({ rate, submitRate }) => `${Math.round(rate)}/s (submitted at ${Math.round(submitRate)}/s)`,
    );
    return linesOf(results, topology, size);
  } finally {
    await product.stop();
  }
}

function linesOf(results, topology, size) {
  const key = (name) => `batch-10000-${topology}/${name}`;
  const accepted = (kind, what) => ({
    ...{
      key: key(`submit-${kind}`),
      title: `${size} ${what} in one HTTP call until the 202, ${topology}, against pg-boss' bulk insert`,
    },
    rounds: ratios(results, kind, 'pg-boss', 'submitRate'),
  });
  const worked = {
    ...{
      key: key('true'),
      title: `${size} \`true\` of one batch until the last end, 8 at a time, ${topology}, against one HTTP call a run`,
    },
    ...{ must: 0.9, rounds: ratios(results, 'jobs', 'single') },
    details: {
      polls: results.map(({ jobs: { polls } }) => polls),
      productCpuSecondsPer1k: results.map(({ jobs: batch, single }) => [batch.cpuPer1k, single.cpuPer1k]),
    },
  };
  const grown = ({ noops: first, jobs: second, load }) => {
    const [most] = [first.grown, second.grown].sort((a, b) => b.mb - a.mb);
    return { value: rounded(most.mb), of: most.of, load };
  };
  const memory = {
    ...{
      key: key('memory'),
      title: `resident memory of any one process over what it was before batches of ${size}, ${topology}`,
    },
    ...{ must: 100, lower: true, unit: 'MB', rounds: results.map(grown) },
  };
  return [accepted('noops', 'no-op runs'), accepted('jobs', '`true` jobs'), worked, memory].map(judged);
}

async function measureBatch(product, { path, body }, size) {
  const text = JSON.stringify(body(size));
  const before = await succeeded(product);
  const cpu = product.cpu();
  const began = performance.now();
  const { body: answer, answered } = await product.api.call('POST', path, text);
  const { id } = JSON.parse(answer);
  const polled = watchCounters(product, id, size);
  polled.catch(() => undefined);
  const recorded = await untilRecorded(product, before, size);
  return {
    ...{ rate: (size / (recorded - began)) * 1_000, submitRate: (size / (answered - began)) * 1_000 },
    ...{ polls: await polled, cpuPer1k: ((product.cpu() - cpu) / size) * 1_000 },
  };
}

/** The view may be behind what has just been accepted; whoever asks is told so. */
async function read({ api }, path) {
  for (;;) {
    try {
      return await api.json('GET', path);
    } catch (error) {
      if (!/VIEW_BEHIND/.test(error.message)) throw error;
    }
  }
}

/** Until all are over: each answer must count every run once, and none that is over may be taken back. Answers how often it looked. */
async function watchCounters(product, id, size) {
  let over = 0;
  for (let polls = 1; ; polls++) {
    const batch = await read(product, `/api/v1/batches/${id}`);
    over = rightly(
      { total: batch.total, over: batch.counts.succeeded, counts: Object.values(batch.counts) },
      size,
      over,
    );
    if (batch.finished || polls % fullPollEvery === 0) {
      const { jobs: list, ...card } = await read(product, `/api/v1/job-batches/${id}`);
      const { pending_count, running_count, success_count, failed_count, canceled_count } = card;
      const counts = [pending_count, running_count, success_count, failed_count, canceled_count];
      over = rightly({ total: card.total_jobs, over: success_count, counts }, size, over);
      const succeededJobs = list.filter(({ status }) => status === 'success').length;
      if (list.length !== size || succeededJobs < over)
        throw new Error(`batch ${id} has ${list.length} jobs, ${succeededJobs} of ${over} succeeded`);
    }
    if (batch.finished && over === size) return polls;
    if (batch.finished) throw new Error(`batch ${id} is finished with ${over} of ${size} succeeded`);
    await sleep(pollEvery);
  }
}

function rightly({ total, over, counts }, size, before) {
  const sum = counts.reduce((all, count) => all + count, 0);
  if (total === size && sum === size && over >= before) return over;
  throw new Error(`The counters are wrong: ${JSON.stringify({ total, sum, over, before, counts })}`);
}
