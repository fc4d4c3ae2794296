/** No-op runs admitted 1,000 at a time, beside peers at their batch best. */
import path from 'node:path';
import { helper } from './child.mjs';
import { startNats } from './nats.mjs';
import { measurePeer, peersHere } from './peer.mjs';
import { assertCounted, startProduct, succeeded, untilRecorded } from './product.mjs';
import { alternate, ratios } from './rounds.mjs';
import { judged } from './stats.mjs';

const size = 1_000;
const lanes = 2;

/** @param {import('./stage.mjs').Stage} stage */
export async function batchScenario(stage, topology) {
  const nats = await startNats();
  if (nats === null) return console.log('  left out: there is no nats-server') ?? [];
  const count = stage.quick ? 5_000 : 50_000;
  const env = { NATS_URL: nats.url };
  const product = await startProduct(stage, topology, { env });
  let births;
  try {
    const { user, id } = await product.api.json('GET', '/api/v1/me');
    births = await helper(path.join(import.meta.dirname, 'births.mjs'), [product.database.url, id ?? user.id], env);
    let all = 0;
    const measure = async (runs) => {
      const before = await succeeded(product);
      const cpu = product.cpu();
      const began = performance.now();
      const admitted = births.ask('admit', { batches: runs / size, size, lanes }).then(() => performance.now());
      const recorded = await untilRecorded(product, before, runs);
      await assertCounted(product, (all += runs));
      const seconds = (recorded - began) / 1_000;
      return {
        rate: runs / seconds,
        submitRate: (runs / ((await admitted) - began)) * 1_000,
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
          title: `no-op runs by batches of ${size}, ${topology}, against ${peer}`,
        },
        how: 'what an executor does that is asked for a thousand no-ops, in a process of its own; bell over NATS, the views follow',
        ...wanted[peer],
        rounds: ratios(results, 'runledger', peer),
        details: { productCpuSecondsPer1k: results.map((round) => round.runledger.cpuPer1k) },
      }),
    );
  } finally {
    await births?.stop();
    await product.stop();
    await nats.stop();
  }
}
