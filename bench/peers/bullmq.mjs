/** BullMQ with concurrency 50, on a Redis that syncs its log each second: not the durability of the others. */
import { Queue, Worker } from 'bullmq';

export const name = 'BullMQ, AOF everysec';
export const store = 'redis';
const queue = 'bench';
const connection = (url) => ({ host: '127.0.0.1', port: Number(new URL(url).port), maxRetriesPerRequest: null });

export async function prepare() {}

export async function producer(url) {
  const made = new Queue(queue, { connection: connection(url) });
  return {
    one: (data) => made.add('bench', data),
    many: (list) => made.addBulk(list.map((data) => ({ name: 'bench', data }))),
    recorded: () => made.getCompletedCount(),
    close: () => made.close(),
  };
}

export async function work(url, handle, { concurrency = 50 }) {
  const worker = new Worker(queue, ({ data }) => handle(data), { connection: connection(url), concurrency });
  await worker.waitUntilReady();
}
