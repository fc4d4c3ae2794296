/** No-op runs in batches of 1,000, one HTTP call each, beside peers at their batch best. */
import { inFlight } from './http.mjs';
import { measurePeer, peersHere } from './peer.mjs';
import { assertCounted, startProduct, succeeded, untilRecorded } from './product.mjs';
import { alternate, ratios } from './rounds.mjs';
import { judged } from './stats.mjs';

const size = 1_000;
const lanes = 2;
const body = JSON.stringify({ runs: Array(size).fill({ action: { kind: 'noop' } }) });

/** @param {import('./stage.mjs').Stage} stage */
export async function batchScenario(stage, topology) {
  const count = stage.quick ? 5_000 : 50_000;
  const product = await startProduct(stage, topology, { client: { connections: lanes } });
  try {
    let all = 0;
    const measure = async (runs) => {
      const before = await succeeded(product);
      const cpu = product.cpu();
      const began = performance.now();
      await inFlight(lanes, runs / size, () => product.api.call('POST', '/api/v1/batches', body));
      const submitted = performance.now();
      const recorded = await untilRecorded(product, before, runs);
      await assertCounted(product, (all += runs));
      return {
        rate: (runs / (recorded - began)) * 1_000,
        submitRate: (runs / (submitted - began)) * 1_000,
        cpuPer1k: ((product.cpu() - cpu) / runs) * 1_000,
      };
    };
    await measure(stage.quick ? 2_000 : 10_000);
    const peers = peersHere(['graphile-history', 'pg-boss', 'graphile-worker', 'bullmq']);
    const results = await alternate(
      stage,
      {
        runledger: async () => {
          await product.database.query('analyze');
          return measure(count);
        },
        ...Object.fromEntries(
          peers.map((peer) => [peer, () => measurePeer(stage, peer, { count, lanes, batch: true, connections: 10 })]),
        ),
      },
      ({ rate, submitRate }) => `${Math.round(rate)}/s (submitted at ${Math.round(submitRate)}/s)`,
    );
    const wanted = { 'graphile-history': { must: 1.2 }, 'pg-boss': { aim: 0.7 } };
    return peers.map((peer) =>
      judged({
        ...{
          key: `batch-${topology}/${peer}`,
          title: `no-op runs by batches of ${size}, one HTTP call each, ${topology}, against ${peer}`,
        },
        ...wanted[peer],
        rounds: ratios(results, 'runledger', peer),
        details: { productCpuSecondsPer1k: results.map((round) => round.runledger.cpuPer1k) },
      }),
    );
  } finally {
    await product.stop();
  }
}
