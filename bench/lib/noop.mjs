/** Recorded no-op runs, one HTTP call a run, beside peers that are called once a job. */
import { measurePeer, peersHere } from './peer.mjs';
import { repeat } from './http.mjs';
import { assertCounted, noop, startProduct, succeeded, untilRecorded } from './product.mjs';
import { alternate, ratios } from './rounds.mjs';
import { judged } from './stats.mjs';

/** Runs of this body, submitted one HTTP call each; the clock stops when the store shows them all. */
export async function measureRuns(product, body, { count, lanes }) {
  const before = await succeeded(product);
  const cpu = product.cpu();
  const began = performance.now();
  await repeat(product.api, { lanes, count, method: 'POST', path: '/api/v1/runs', body });
  const submitted = performance.now();
  const recorded = await untilRecorded(product, before, count);
  const seconds = (recorded - began) / 1_000;
  return {
    rate: count / seconds,
    submitRate: (count / (submitted - began)) * 1_000,
    cpuPer1k: ((product.cpu() - cpu) / count) * 1_000,
  };
}

/** @param {import('./stage.mjs').Stage} stage */
export async function noopScenario(stage, { topology, lanes, must, aim }) {
  const many = stage.quick ? 3_000 : 30_000;
  const few = stage.quick ? 1_000 : lanes >= 256 ? 10_000 : 8_000;
  const product = await startProduct(stage, topology, { client: { connections: lanes } });
  try {
    let all = stage.quick ? 2_000 : 20_000;
    await measureRuns(product, noop, { count: all, lanes });
    const peers = peersHere(['pg-boss', 'graphile-worker', 'bullmq']);
    const contestants = {
      runledger: async () => {
        await product.database.query('analyze');
        const result = await measureRuns(product, noop, { count: many, lanes });
        await assertCounted(product, (all += many));
        return result;
      },
      ...Object.fromEntries(
        peers.map((peer) => [peer, () => measurePeer(stage, peer, { count: peer === 'bullmq' ? many : few, lanes })]),
      ),
    };
    const results = await alternate(stage, contestants);
    const title = `no-op run, one HTTP call a run, ${lanes} in flight, ${topology}`;
    return peers.map((peer) =>
      judged({
        ...{ key: `noop-${lanes}-${topology}/${peer}`, title: `${title}, against ${peer}` },
        ...(peer === 'bullmq' ? {} : { must, aim }),
        rounds: ratios(results, 'runledger', peer),
        details: { productCpuSecondsPer1k: results.map((round) => round.runledger.cpuPer1k) },
      }),
    );
  } finally {
    await product.stop();
  }
}
