/** pg-boss at its documented best: big batches where jobs come in batches, LISTEN/NOTIFY, two local workers. */
import { PgBoss } from 'pg-boss';

export const name = 'pg-boss';
export const store = 'postgres';
const queue = 'bench';

async function boss(url, max, extra = {}) {
  const made = new PgBoss({ connectionString: url, max, useListenNotify: true, ...extra });
  // 57P01: its database goes away when it has been measured.
  made.on('error', (error) => error.code === '57P01' || console.error(`  pg-boss: ${error}`));
  await made.start();
  return made;
}

export async function prepare(url, { notify = true } = {}) {
  const made = await boss(url, 2);
  await made.createQueue(queue, { notify });
  await made.stop({ graceful: false });
}

export async function producer(url, { connections }) {
  const made = await boss(url, connections, { supervise: false, schedule: false, useListenNotify: false });
  return {
    one: (data) => made.send(queue, data),
    many: (list) =>
      made.insert(
        queue,
        list.map((data) => ({ data })),
      ),
    close: () => made.stop({ graceful: false }),
  };
}

/** `handle(data)` once a job; a batch gives one verdict, which is the fastest way it has. */
export async function work(url, handle, { concurrency }) {
  const made = await boss(url, 10, { schedule: false });
  const options = concurrency
    ? { batchSize: concurrency, localConcurrency: 1 }
    : { batchSize: 500, localConcurrency: 2 };
  await made.work(
    queue,
    { ...options, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5 },
    (jobs) => Promise.all(jobs.map(({ data }) => handle(data))).then(() => undefined),
  );
}

export const recorded = (database) =>
  database.one(`select count(*) from pgboss.job where name = '${queue}' and state = 'completed'`).then(Number);
