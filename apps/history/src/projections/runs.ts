import { foldRun, type RunEvent, type RunRow } from '#domain';
import { copyIn, type Projection, type FoldedEvent, type Target } from '#ledger';
import { foldBatches } from './batches.js';
import { count } from './counts.js';

interface Folded {
  born: string;
  /** Null once it was purged. */
  row: RunRow | null;
  /** What the view counted it as before this batch. */
  before: { owner: string; batch: string | null; status: string } | null;
}

type Shown = Folded & { row: RunRow };

/**
 * Runs, batches, and how many there are of what: events are folded in memory first, then written with one statement a table.
 * In one view, so that the counts of a batch are right whenever they are read.
 */
export const runView: Projection = {
  name: 'run_view',
  tables: ['run_view', 'run_count', 'batch_view', 'batch_count'],
  categories: ['run', 'batch'],
  async apply(target, all) {
    const events = all.filter(({ stream }) => stream.startsWith('run-'));
    if (events.length < all.length) await foldBatches(target, all);
    if (events.length > 0) await foldRuns(target, events);
  },
};

async function foldRuns(target: Target, events: FoldedEvent[]): Promise<void> {
  const folded = await existing(target, events);
  for (const event of events) {
    const id = event.stream.slice('run-'.length);
    const known = folded.get(id);
    const row = foldRun(known?.row ?? null, id, event as unknown as RunEvent);
    if (known) known.row = row;
    else if (row) folded.set(id, { born: event.position, row, before: null });
  }
  const all = [...folded.values()];
  if (all.length === 0) return;
  await write(target, all);
  await drop(target, folded);
  const rows = all.map(({ row, before }) => ({ before, after: row }));
  await count(target, 'run_count', 'owner', rows);
  await count(target, 'batch_count', 'batch', rows);
}

/** Rows of runs that were born before this batch. */
async function existing({ client, table }: Target, events: FoldedEvent[]): Promise<Map<string, Folded>> {
  const born = new Set<string>();
  const ids = new Set<string>();
  for (const { type, stream } of events) {
    if (type === 'RunRequested') born.add(stream);
    else if (!born.has(stream)) ids.add(stream.slice('run-'.length));
  }
  if (ids.size === 0) return new Map();
  const text = `select id, born, row from ${table('run_view')} where id = any($1::uuid[])`;
  const { rows } = await client.query<{ id: string; born: string; row: string }>(text, [[...ids]]);
  return new Map(
    rows.map(({ id, born, row: text }) => {
      const row = JSON.parse(text) as RunRow;
      return [id, { born, row, before: { owner: row.owner, batch: row.batch, status: row.status } }];
    }),
  );
}

/** Who was born in this batch cannot be there yet: a plain insert, which needs no look for a row in its way. */
async function write(target: Target, all: Folded[]): Promise<void> {
  const left = all.filter((each): each is Shown => each.row !== null);
  const born = left.filter(({ before }) => before === null);
  const known = left.filter(({ before }) => before !== null);
  if (born.length > 0) await insert(target, born);
  if (known.length > 0) await update(target, known);
}

/** Purged runs leave; one that was born in this batch has not come. */
async function drop({ client, table }: Target, folded: Map<string, Folded>): Promise<void> {
  const gone = [...folded].filter(([, { row, before }]) => row === null && before !== null).map(([id]) => id);
  if (gone.length > 0) await client.query(`delete from ${table('run_view')} where id = any($1::uuid[])`, [gone]);
}

const columns = {
  id: 'uuid',
  born: 'bigint',
  number: 'integer',
  process_id: 'uuid',
  process_number: 'integer',
  status: 'text',
  owner: 'text',
  batch: 'text',
  server: 'text',
  requested_at: 'timestamptz',
  started_at: 'timestamptz',
  row: 'text',
} as const;

async function insert({ client, table }: Target, all: Shown[]): Promise<void> {
  await copyIn(client, table('run_view'), columns, all, ({ born, row }) => [
    row.id,
    born,
    row.number,
    row.process?.id ?? null,
    row.process?.number ?? null,
    row.status,
    row.owner,
    row.batch,
    row.server,
    row.requestedAt,
    row.startedAt,
    JSON.stringify(row),
  ]);
}

async function update({ client, table }: Target, all: Shown[]): Promise<void> {
  await client.query(
    `update ${table('run_view')} v set status = r.status, server = r.server, started_at = r.started_at, row = r.row
    from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], string_to_array($5, e'\\n')) as r(id, status, server, started_at, row)
    where v.id = r.id and v.id = any ($1::uuid[])`,
    [
      all.map(({ row }) => row.id),
      all.map(({ row }) => row.status),
      all.map(({ row }) => row.server),
      all.map(({ row }) => row.startedAt),
      lines(all),
    ],
  );
}

/** JSON has no raw line feed: lines cost the server less than the escapes of an array or a document. */
const lines = (all: Shown[]) => all.map(({ row }) => JSON.stringify(row)).join('\n');
