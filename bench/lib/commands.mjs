/** Runs of \`true\`, output kept, beside workers that spawn /bin/true 8 at a time. */
import path from 'node:path';
import { measurePeer } from './peer.mjs';
import { measureRuns } from './noop.mjs';
import { assertCounted, command, startProduct } from './product.mjs';
import { alternate, ratios } from './rounds.mjs';
import { judged } from './stats.mjs';

const ballast = { NODE_OPTIONS: `--import ${path.join(import.meta.dirname, 'ballast.mjs')}` };
const concurrency = 8;
const lanes = 32;

/** @param {import('./stage.mjs').Stage} stage */
export async function commandScenario(stage, { topology, heavy = false }) {
  const count = stage.quick ? 400 : 4_000;
  const peerCount = heavy ? (stage.quick ? 60 : 400) : count >> 1;
  const env = { RUNLEDGER_EXECUTOR_SLOTS: String(concurrency), ...(heavy ? ballast : {}) };
  const product = await startProduct(stage, topology, { env, client: { connections: lanes } });
  const name = `true${heavy ? '-400mb' : ''}-${topology}`;
  try {
    let all = stage.quick ? 200 : 1_000;
    await measureRuns(product, command, { count: all, lanes });
    const peers = ['graphile-history', 'graphile-worker'];
    const how = {
      kind: 'true',
      count: peerCount,
      lanes: 2,
      batch: true,
      concurrency,
      connections: 10,
      warm: heavy ? 50 : 300,
      env: heavy ? ballast : {},
    };
    const results = await alternate(stage, {
      runledger: async () => {
        await product.database.query('analyze');
        const result = await measureRuns(product, command, { count, lanes });
        await assertCounted(product, (all += count));
        return result;
      },
      ...Object.fromEntries(peers.map((peer) => [peer, () => measurePeer(stage, peer, how)])),
    });
    const title = `\`true\` with output kept, ${concurrency} at a time, one HTTP call a run${heavy ? ', +400 MB resident in both' : ''}, ${topology}`;
    return peers.map((peer) =>
      judged({
        ...{
          key: `${name}/${peer}`,
          title: `${title}, against ${peer} (jobs added by the thousand, child_process.spawn)`,
        },
        ...(peer === 'graphile-history' ? { must: 1 } : { aim: 2 }),
        rounds: ratios(results, 'runledger', peer),
        details: { productCpuSecondsPer1k: results.map((round) => round.runledger.cpuPer1k) },
      }),
    );
  } finally {
    await product.stop();
  }
}
