/** From the call that submits to the first line of the handler, 50 a second. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openPeer, peersHere } from './peer.mjs';
import { command, noop, startProduct } from './product.mjs';
import { alternate, ratios } from './rounds.mjs';
import { productRoot } from './stage.mjs';
import { judged, quantile } from './stats.mjs';

const now = () => performance.timeOrigin + performance.now();
const gap = 20;

/** Calls each 20 ms, whether or not the one before has been answered. */
async function paced(count, call) {
  const began = performance.now();
  const calls = [];
  for (let n = 0; n < count; n++) {
    const wait = began + n * gap - performance.now();
    if (wait > 0) await sleep(wait);
    calls.push(call(n));
  }
  return Promise.all(calls);
}

const summary = (delays) => ({ p50: quantile(delays, 0.5), p99: quantile(delays, 0.99), max: Math.max(...delays) });

/** @param {import('./stage.mjs').Stage} stage */
export async function latencyScenario(stage, topology) {
  const count = stage.quick ? 100 : 500;
  const file = path.join(stage.dir, `starts-${topology}`);
  writeFileSync(file, '');
  const probe = path.join(import.meta.dirname, 'probe.mjs');
  const env = { NODE_OPTIONS: `--import ${probe}`, BENCH_PROBE: file, BENCH_PRODUCT_ROOT: productRoot };
  const product = await startProduct(stage, topology, { env, client: { connections: 4 } });
  const measure = async (body, calls) => {
    const sent = new Map();
    await paced(calls, async () => {
      const at = now();
      const answer = await product.api.call('POST', '/api/v1/runs', body);
      sent.set(JSON.parse(answer.body).id, at);
    });
    await sleep(600);
    const starts = new Map(
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.split(' ')),
    );
    return summary(
      [...sent].map(([id, at]) => {
        if (!starts.has(id)) throw new Error(`run ${id} was not seen to start`);
        return Number(starts.get(id)) - at;
      }),
    );
  };
  try {
    for (const body of [noop, command]) await measure(body, 200);
    const peers = peersHere(['pg-boss', 'graphile-worker', 'bullmq']);
    const ofPeer = async (peer) => {
      const opened = await openPeer(stage, peer, { kind: 'delay', connections: 10 });
      try {
        await opened.worker.ask('delays');
        await paced(100, () => opened.producer.one({ at: now() }));
        await sleep(300);
        await opened.worker.ask('delays');
        await paced(count, () => opened.producer.one({ at: now() }));
        await sleep(1_500);
        const { delays } = await opened.worker.ask('delays');
        if (delays.length !== count) throw new Error(`${peer} started ${delays.length} of ${count}`);
        return summary(delays);
      } finally {
        await opened.close();
      }
    };
    const results = await alternate(
      stage,
      {
        noop: () => measure(noop, count),
        command: () => measure(command, count),
        ...Object.fromEntries(peers.map((peer) => [peer, () => ofPeer(peer)])),
      },
      ({ p50, p99, max }) => `${p50.toFixed(2)} ms (p99 ${p99.toFixed(1)}, max ${max.toFixed(0)})`,
    );
    // A peer's job is a no-op: the like-for-like line is the no-op's, and the one of a command is shown beside it.
    const wanted = { 'pg-boss': { must: 1 }, 'graphile-worker': { aim: 0.9 } };
    return ['noop', 'command'].flatMap((kind) =>
      peers.map((peer) =>
        judged({
          ...{
            key: `latency-${topology}/${kind}/${peer}`,
            title: `submit (HTTP) to start of a ${kind === 'noop' ? 'no-op' : 'command'} at 50/s, p50, ${topology}, against ${peer}`,
            lower: true,
          },
          ...(kind === 'noop' ? wanted[peer] : {}),
          rounds: ratios(results, kind, peer, 'p50'),
          details: results.map((round) => ({ product: round[kind], peer: round[peer] })),
        }),
      ),
    );
  } finally {
    await product.stop();
  }
}
