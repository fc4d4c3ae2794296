/** Runledger as a user starts it, on a database and in a folder of its own. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { freePort, lastLines, start, stop } from './child.mjs';
import { Api } from './http.mjs';
import { cpuSeconds, family } from './processes.mjs';
import { dist, productRoot } from './stage.mjs';

const password = 'bench-admin-password';
let started = 0;

/**
 * @param {import('./stage.mjs').Stage} stage
 * @param {'solo' | 'cluster'} topology
 */
export async function startProduct(stage, topology, { env = {}, database, client = {} } = {}) {
  const base = database ?? (await stage.database(`runledger_${topology}`));
  const dir = path.join(stage.dir, `${topology}-${++started}`);
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  const log = path.join(dir, 'log');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { NODE_OPTIONS: _, NODE_ENV: __, NATS_URL: ___, ...inherited } = process.env;
  const settings = {
    ...{ PORT: String(port), HOST: '127.0.0.1', DATABASE_URL: base.url, RUNLEDGER_DATA: path.join(dir, 'data') },
    ...{ RUNLEDGER_ADMIN_PASSWORD: password, RUNLEDGER_RATE_LIMITS: 'off', RUNLEDGER_LOG_LEVEL: 'warn' },
    // The database's, not the folder's: who is started on one that is filled opens it with the same.
    RUNLEDGER_MASTER_KEY_FILE: path.join(stage.dir, `${new URL(base.url).pathname.slice(1)}.key`),
  };
  // Solo with the flag of `npm start`.
  const flags = topology === 'solo' ? ['--min-semi-space-size=32', '--max-semi-space-size=32'] : [];
  const [first, ...rest] = [...flags, dist(`deploy/local/${topology}.js`), '--bare'];
  const child = start(first, rest, {
    env: { ...inherited, ...settings, ...env },
    ...{ log, cwd: productRoot },
  });
  const until = performance.now() + 60_000;
  for (;;) {
    const answer = await request(`${url}/api/v1/health`).catch(() => undefined);
    await answer?.body.dump();
    if (answer?.statusCode === 200) break;
    if (performance.now() > until || child.exitCode !== null)
      throw new Error(`${topology} did not start:\n${lastLines(log)}`);
    await sleep(50);
  }
  const api = await signedIn(url, client);
  return {
    ...{ url, api, log, pid: child.pid, dir, topology, database: base },
    /** Of all its processes, so far. */
    cpu: () => cpuSeconds(family(child.pid, dir)),
    processes: () => family(child.pid, dir),
    async stop({ keep = database !== undefined } = {}) {
      await api.close();
      await stop(child);
      if (!keep) await base.drop();
    },
  };
}

/** A cluster answers HTTP before its auth does. */
async function signedIn(url, client) {
  const api = new Api(url, client);
  for (let attempt = 0; ; attempt++) {
    try {
      return await api.login(password);
    } catch (error) {
      if (attempt > 100) throw error;
      await sleep(100);
    }
  }
}

export const succeeded = async ({ database }) =>
  Number((await database.one(`select coalesce(sum(runs), 0) from run_count where status = 'succeeded'`)) ?? 0);

/**
 * Until the store shows so many more runs as succeeded than before; then the ledger itself is counted. The further off the
 * end still is, the longer until it is asked again: peers are asked over their worker's pipe, which costs the database nothing.
 */
export async function untilRecorded(product, before, count, { within = 120_000 } = {}) {
  const began = performance.now();
  let first;
  for (;;) {
    const left = before + count - (await succeeded(product));
    const now = performance.now();
    if (left <= 0) return now;
    if (now > began + within)
      throw new Error(`${count - left} of ${count} runs were recorded. ${lastLines(product.log)}`);
    first ??= { left, now };
    const pace = (now - first.now) / (first.left - left || Infinity);
    await sleep(Math.min(Math.max((left * pace) / 4, 4), 250));
  }
}

export async function assertCounted(product, count) {
  const { database } = product;
  const { rows } =
    await database.query(`select type, count(*)::integer as events, count(distinct stream)::integer as streams
    from event where type in ('RunRequested', 'RunStarted', 'RunSucceeded') group by type`);
  const wrong = rows.length !== 3 || rows.some(({ events, streams }) => events !== count || streams !== count);
  const queued = Number(await database.one('select count(*) from queue'));
  if (wrong || queued > 0) throw new Error(`The store is wrong: ${JSON.stringify({ expected: count, rows, queued })}`);
}

export const noop = JSON.stringify({ action: { kind: 'noop' } });
export const command = JSON.stringify({ action: { kind: 'command', command: ['true'] } });
