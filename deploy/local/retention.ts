/** `npm run retention -- [--dry-run] [--age 90d] [--count 100]`: purges what these limits, or else the settings, leave no place for. */
import { parseArgs } from 'node:util';
import { type Pool } from 'pg';
import { newId } from '#domain';
import { report } from '#admission';
import { type Ledger } from '#ledger';
import { readRetention, systemMeta } from '#service';
import { erase } from '../../apps/executor/src/eraser.js';
import { expired, type Limits } from '../../apps/history/src/expired.js';
import { alone, sweep } from '../../apps/history/src/retention.js';
import { withLedger } from './ledger-tool.js';

const options = { age: { type: 'string' }, count: { type: 'string' }, 'dry-run': { type: 'boolean' } } as const;
const { values } = parseArgs({ options });
const given = {
  ...(values.age === undefined ? {} : { RUNLEDGER_RETENTION_AGE: values.age }),
  ...(values.count === undefined ? {} : { RUNLEDGER_RETENTION_COUNT: values.count }),
};
const { RUNLEDGER_RETENTION_AGE: age, RUNLEDGER_RETENTION_COUNT: count } = readRetention({ ...process.env, ...given });
if (age === null && count === null) {
  console.error('No limit is set. npm run retention -- [--dry-run] [--age 90d] [--count 100]');
  process.exit(2);
}

await withLedger((ledger, pool) => (values['dry-run'] ? show(pool, { age, count }) : purge(ledger, { age, count })));

async function show(pool: Pool, limits: Limits): Promise<void> {
  let [runs, bytes] = [0, 0];
  for await (const page of expired(pool, limits)) {
    const sizes = await sizesOf(
      pool,
      page.map(({ id }) => id),
    );
    for (const { id, name, status, finishedAt } of page) {
      const size = sizes.get(id) ?? 0;
      console.log(`${id}  ${finishedAt}  ${status.padEnd(9)}  ${String(size).padStart(10)}  ${name}`);
      bytes += size;
      runs++;
    }
  }
  console.log(`${runs} runs with ${bytes} bytes of output would be purged`);
}

async function sizesOf(pool: Pool, runs: string[]): Promise<Map<string, number>> {
  const text = `select run_id as id, sum(octet_length(bytes))::float8 as bytes from run_output where run_id = any($1::uuid[]) group by 1`;
  const { rows } = await pool.query<{ id: string; bytes: number }>(text, [runs]);
  return new Map(rows.map(({ id, bytes }) => [id, bytes]));
}

async function purge(ledger: Ledger, limits: Limits): Promise<void> {
  const { pool } = ledger;
  const correlation = newId();
  const swept = await alone(pool, () =>
    sweep(pool, limits, async (run) => {
      const order = { type: 'PurgeRun' as const, meta: systemMeta(newId(), correlation), data: { any: true } };
      const { events } = await report(ledger, run, order);
      const bytes = await erase(pool, [run]);
      return events.length > 0 ? bytes : null;
    }),
  );
  if (swept) console.log(`${swept.runs} runs with ${swept.bytes} bytes of output were purged`);
  else console.error('Somebody else is at it: nothing was done');
  process.exitCode = swept ? 0 : 1;
}
