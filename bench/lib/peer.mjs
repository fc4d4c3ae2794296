/** One measurement of one peer: a fresh store, a worker process, a warm-up, then `count` jobs until the store shows them done. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { helper } from './child.mjs';
import { inFlight } from './http.mjs';
import { hasRedis, startRedis } from './redis.mjs';

const workerFile = path.join(import.meta.dirname, '../peers/worker.mjs');
const sizeOfBatch = 1_000;

/** Which of these can be measured here; says what is left out. */
export function peersHere(names) {
  return names.filter((name) => {
    if (name !== 'bullmq' || hasRedis()) return true;
    console.log('  BullMQ is left out: there is no redis-server on PATH');
    return false;
  });
}

/**
 * @param {import('./stage.mjs').Stage} stage
 * @param {{ kind?: string, count: number, lanes: number, batch?: boolean, size?: number, concurrency?: number, connections?: number, env?: object, warm?: number }} how
 */
export async function measurePeer(stage, peer, how) {
  const opened = await openPeer(stage, peer, how);
  try {
    return await opened.measure(how);
  } finally {
    await opened.close();
  }
}

export async function openPeer(stage, peer, { kind = 'noop', concurrency, connections = 32, env, warm = 1_000 }) {
  const code = await import(`../peers/${peer}.mjs`);
  const redis = code.store === 'redis' ? await startRedis(stage) : null;
  const database = redis ? null : await stage.database(peer.replaceAll('-', '_'));
  const url = redis?.url ?? database.url;
  await code.prepare(url);
  const worker = await helper(workerFile, [peer, url, kind, ...(concurrency ? [String(concurrency)] : [])], env);
  const producer = await code.producer(url, { connections });
  let added = 0;
  const recorded = () => (producer.recorded ? producer.recorded() : code.recorded(database, added));

  const submit = async (count, { lanes, batch, size = sizeOfBatch }) => {
    const first = added;
    if (!batch) {
      added += count;
      return inFlight(lanes, count, (n) => producer.one({ n: first + n }));
    }
    added += count;
    await inFlight(lanes, Math.ceil(count / size), (n) => {
      const from = n * size;
      const list = Array.from({ length: Math.min(size, count - from) }, (_, i) => ({ n: first + from + i }));
      return producer.many(list);
    });
  };
  /** The store is asked only when the worker has seen them all: a count costs more in some than in others. */
  const finished = async () => {
    const until = performance.now() + 180_000;
    const waits = async (what) => {
      while ((await what()) < added) {
        if (performance.now() > until) throw new Error(`${peer}: ${await recorded()} of ${added} jobs were recorded`);
        await sleep(3);
      }
    };
    await waits(async () => (await worker.ask('done')).done);
    await waits(recorded);
  };
  await submit(warm, { lanes: 32, batch: true });
  await finished();
  if (database) await database.query('vacuum analyze');
  await stage.settle();
  return {
    worker,
    producer,
    async measure(how) {
      const began = performance.now();
      await submit(how.count, how);
      const submitted = performance.now();
      await finished();
      const seconds = (performance.now() - began) / 1_000;
      if ((await recorded()) !== added)
        throw new Error(`${peer}: the store shows ${await recorded()} jobs, not ${added}`);
      return { rate: how.count / seconds, submitRate: (how.count / (submitted - began)) * 1_000 };
    },
    async close() {
      await producer.close();
      await worker.stop();
      await redis?.stop();
      await database?.drop();
    },
  };
}
