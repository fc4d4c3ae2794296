/** A writer process: `ledger-writer.js <database> <seed> <events> <acknowledgements>`; says by message how it did. */
import { randomUUID } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import pg from 'pg';
import { Ledger, type Append } from '#ledger';
import { Dice } from '../dice.js';

export interface WriterCounts {
  events: number;
  duplicates: number;
  conflicts: number;
  rollbacks: number;
  /** Longest an append took, in milliseconds, but for the time that this process was paused itself. */
  slowest: number;
}

const hot = Array.from({ length: 40 }, (_, n) => `tally-hot${n}`);
const atOnce = 40;

const [url = '', seed = '0', target = '0', file = ''] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: url, max: 8 });
pool.on('error', () => undefined);
const ledger = new Ledger(pool);
const acknowledged = openSync(file, 'a');
const counts: WriterCounts = { events: 0, duplicates: 0, conflicts: 0, rollbacks: 0, slowest: 0 };
const versions = new Map<string, number>();

function append(stream: string, expected: number, events: number): Append {
  const meta = { now: new Date().toISOString(), actor: 'fire', correlationId: 'fire', commandId: randomUUID() };
  const data = { by: 1, writer: seed, text: 'x'.repeat(40) };
  return { stream, expected, events: Array.from({ length: events }, () => ({ type: 'Added', data })), meta };
}

const fresh = (dice: Dice) => append(`tally-${randomUUID()}`, 0, dice.between(1, 3));

/** What was just appended, repeated; a hot stream at a version that may be stale; one that fails half-way; a new stream. */
async function write(dice: Dice): Promise<void> {
  let last = fresh(dice);
  for (let first = true; counts.events < Number(target); first = false) {
    const roll = first ? 1 : dice.next();
    if (roll < 0.06) await send(last);
    else if (roll < 0.4) {
      const stream = dice.pick(hot);
      const order = append(stream, versions.get(stream) ?? 0, dice.between(1, 2));
      if (await send(order)) last = order;
    } else if (roll < 0.404) await fail(fresh(dice));
    else {
      const order = fresh(dice);
      if (await send(order)) last = order;
    }
  }
}

async function send(order: Append): Promise<boolean> {
  const began = performance.now();
  const { verdict } = await ledger.append(order);
  counts.slowest = Math.max(counts.slowest, performance.now() - began);
  if (verdict.verdict !== 'appended') {
    counts[verdict.verdict === 'duplicate' ? 'duplicates' : 'conflicts']++;
    versions.set(order.stream, verdict.version);
    return false;
  }
  counts.events += verdict.events.length;
  versions.set(order.stream, verdict.events.at(-1)!.version);
  const lines = verdict.events.map(({ position, id, stream, version }) => `A ${position} ${id} ${stream} ${version}\n`);
  writeSync(acknowledged, lines.join(''));
  return true;
}

/** A hook of this append raises: the whole flush is rolled back and tried again without it. */
async function fail(order: Append): Promise<void> {
  try {
    await ledger.append({ ...order, alongside: { fire_raise: [{}] } });
    writeSync(acknowledged, `BAD ${order.stream}\n`);
  } catch {
    counts.rollbacks++;
    writeSync(acknowledged, `R ${order.stream}\n`);
  }
}

// Whoever started us is gone.
process.on('disconnect', () => process.exit(1));
await Promise.all(Array.from({ length: atOnce }, (_, n) => write(new Dice(Number(seed) * 1_000 + n))));
await ledger.drained();
await pool.end();
process.send?.(counts, () => process.exit(0));
