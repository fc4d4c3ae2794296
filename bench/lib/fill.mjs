/**
 * `fill.mjs <database> <owner> <runs>`: appends whole runs (requested, started, succeeded) through libs/ledger in big batches,
 * as many as are still lacking. Real events with real digests and chain; only nobody ran anything.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { fromProduct } from './stage.mjs';

const [url, owner, wanted] = process.argv.slice(2);
const { Ledger } = await fromProduct('libs/ledger/src/index.js');
const { birth } = await fromProduct('libs/admission/src/index.js');
const { newId } = await fromProduct('libs/domain/src/index.js');
const pool = new pg.Pool({ connectionString: url, max: 4 });
const ledger = new Ledger(pool);
const { rows } = await pool.query(`select coalesce(max(last), 0)::integer as head from block`);
const action = { kind: 'command', command: ['/usr/local/bin/report', '--region', 'eu-central', '--format', 'csv'] };
const begin = Date.parse('2026-01-01T00:00:00Z');
let at = Math.floor(rows[0].head / 3);
let lacking = Number(wanted) - at;

async function lane() {
  while (lacking > 0) {
    const size = Math.min(1_000, lacking);
    lacking -= size;
    const appends = Array.from({ length: size }, () => {
      const n = at++;
      const now = new Date(begin + n * 1_000).toISOString();
      const meta = { now, actor: owner, correlationId: randomUUID(), commandId: newId() };
      const born = {
        number: n + 1,
        name: `Report ${n % 200}`,
        action,
        policies: {},
        parameters: null,
        payload: null,
        retryOf: null,
        process: null,
        batch: null,
        scheduledFor: null,
        owner,
      };
      const { stream, expected, events } = birth(newId(), born, meta);
      const started = {
        type: 'RunStarted',
        data: { attempt: 1, epoch: String(n), executor: 'vm-1', server: 'vm', at: now },
      };
      const output = {
        bytes: 1_234,
        stored: 1_234,
        truncated: false,
        sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      };
      const ended = {
        type: n % 50 === 0 ? 'RunFailed' : 'RunSucceeded',
        data: {
          attempt: 1,
          at: now,
          exitCode: n % 50 === 0 ? 1 : 0,
          signal: null,
          output,
          ...(n % 50 === 0 ? { reason: 'exit code 1' } : {}),
        },
      };
      return ledger.append({ stream, expected, meta, events: [...events, started, ended] });
    });
    for (const { verdict } of await Promise.all(appends))
      if (verdict.verdict !== 'appended') throw new Error(verdict.verdict);
  }
}

await Promise.all([lane(), lane()]);
await pool.end();
