/** A database with so many runs in ledger and read model, and how long the rebuild took that put them there. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { startProduct } from './product.mjs';
import { dist } from './stage.mjs';

const run = promisify(execFile);

/** A database that the product has migrated, with its first admin's id. */
export async function migrated(stage, label) {
  const database = await stage.database(label);
  const product = await startProduct(stage, 'solo', { database });
  const { id } = await product.api.json('GET', '/api/v1/me');
  await product.stop({ keep: true });
  return { database, owner: id };
}

export async function fill({ database, owner }, runs) {
  await run(process.execPath, [path.join(import.meta.dirname, 'fill.mjs'), database.url, owner, String(runs)]);
  await database.query('vacuum analyze event');
}

/** `npm run rebuild -- run_view` on it; events a second, of the whole and as the tool counts them. */
export async function rebuild(stage, { database }) {
  const env = { ...process.env, DATABASE_URL: database.url, RUNLEDGER_DATA: path.join(stage.dir, 'rebuild') };
  const events = Number(await database.one('select max(last) from block'));
  // With the flag of `npm run rebuild`.
  const args = ['--max-semi-space-size=64', dist('deploy/local/rebuild.js'), 'run_view'];
  const { stdout } = await run(process.execPath, args, { env });
  const said = /rebuilt up to event (\d+) in [\d.]+ s \((\d+) events\/s\)/.exec(stdout);
  if (said === null || Number(said[1]) !== events) throw new Error(`the rebuild said: ${stdout}`);
  return { events, rate: Number(said[2]) };
}
