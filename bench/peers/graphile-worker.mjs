/** graphile-worker with its own published performance settings; it deletes what is done. */
import pg from 'pg';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';

export const name = 'graphile-worker';
export const store = 'postgres';
const quiet = new Logger(() => () => undefined);

function pool(url, max) {
  const made = new pg.Pool({ connectionString: url, max });
  made.on('error', () => undefined);
  made.on('connect', (client) => client.on('error', () => undefined));
  return made;
}

export async function prepare(url) {
  const utils = await makeWorkerUtils({ connectionString: url, logger: quiet });
  await utils.migrate();
  await utils.release();
}

export async function producer(url, { connections }) {
  const pgPool = pool(url, connections);
  const utils = await makeWorkerUtils({ pgPool, logger: quiet });
  return {
    one: (data) => utils.addJob('bench', data),
    many: (list) => utils.addJobs(list.map((payload) => ({ identifier: 'bench', payload }))),
    async close() {
      await utils.release();
      await pgPool.end();
    },
  };
}

export async function work(url, handle, { concurrency }) {
  const pgPool = pool(url, 20);
  const preset = {
    worker: {
      concurrentJobs: concurrency ?? 24,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      pollInterval: 500,
    },
  };
  await run({
    preset,
    pgPool,
    logger: quiet,
    noHandleSignals: true,
    taskList: { bench: (payload) => handle(payload, pgPool) },
  });
}

/** What was handed in (`added`) and is no longer there. */
export const recorded = async (database, added) =>
  added - Number(await database.one('select count(*) from graphile_worker._private_jobs'));
