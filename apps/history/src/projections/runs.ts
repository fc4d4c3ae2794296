import { foldRun, type RunEvent, type RunRow } from '#domain';
import { type Projection, type StoredEvent, type Target } from '#ledger';

interface Folded {
  born: string;
  row: RunRow;
  /** What the view counted it as before this batch. */
  before: { owner: string; status: string } | null;
}

/** `run_view` and `run_count`: a batch is folded in memory first, then written with one statement a table. */
export const runView: Projection = {
  name: 'run_view',
  tables: ['run_view', 'run_count'],
  categories: ['run'],
  async apply(target, events) {
    const folded = await existing(target, events);
    for (const event of events) {
      const id = event.stream.slice('run-'.length);
      const known = folded.get(id);
      const row = foldRun(known?.row ?? null, id, event as unknown as RunEvent);
      if (!row) continue;
      if (known) known.row = row;
      else folded.set(id, { born: event.position, row, before: null });
    }
    const all = [...folded.values()];
    if (all.length === 0) return;
    await write(target, all);
    await count(target, all);
  },
};

/** Rows of runs that were born before this batch. */
async function existing({ client, table }: Target, events: StoredEvent[]): Promise<Map<string, Folded>> {
  const ids = new Set(events.map(({ stream }) => stream.slice('run-'.length)));
  for (const { type, stream } of events) if (type === 'RunRequested') ids.delete(stream.slice('run-'.length));
  if (ids.size === 0) return new Map();
  const text = `select id, born, row from ${table('run_view')} where id = any($1::uuid[])`;
  const { rows } = await client.query<{ id: string; born: string; row: RunRow }>(text, [[...ids]]);
  return new Map(
    rows.map(({ id, born, row }) => [id, { born, row, before: { owner: row.owner, status: row.status } }]),
  );
}

async function write({ client, table }: Target, all: Folded[]): Promise<void> {
  const records = all.map(({ born, row }) => ({
    id: row.id,
    born,
    number: row.number,
    process_id: row.process?.id ?? null,
    process_number: row.process?.number ?? null,
    status: row.status,
    owner: row.owner,
    batch: row.batch,
    server: row.server,
    requested_at: row.requestedAt,
    started_at: row.startedAt,
    row,
  }));
  await client.query(
    `insert into ${table('run_view')} (id, born, number, process_id, process_number, status, owner, batch, server, requested_at, started_at, row)
    select id, born, number, process_id, process_number, status, owner, batch, server, requested_at, started_at, row
    from json_to_recordset($1) as r(id uuid, born bigint, number integer, process_id uuid, process_number integer, status text,
      owner text, batch text, server text, requested_at timestamptz, started_at timestamptz, row json)
    on conflict (id) do update set status = excluded.status, server = excluded.server, started_at = excluded.started_at, row = excluded.row`,
    [JSON.stringify(records)],
  );
}

/** Adds the differences; a count of zero stays as a row, the same in a rebuild that visits the same states. */
async function count({ client, table }: Target, all: Folded[]): Promise<void> {
  const changes = new Map<string, { owner: string; status: string; runs: number }>();
  const add = (owner: string, status: string, runs: number) => {
    const key = `${owner}\n${status}`;
    const change = changes.get(key) ?? { owner, status, runs: 0 };
    change.runs += runs;
    changes.set(key, change);
  };
  for (const { row, before } of all) {
    if (before) add(before.owner, before.status, -1);
    add(row.owner, row.status, 1);
  }
  const changed = [...changes.values()].filter(({ runs }) => runs !== 0);
  if (changed.length === 0) return;
  const name = table('run_count');
  await client.query(
    `insert into ${name} (owner, status, runs)
    select owner, status, runs from json_to_recordset($1) as r(owner text, status text, runs bigint)
    on conflict (owner, status) do update set runs = ${name}.runs + excluded.runs`,
    [JSON.stringify(changed)],
  );
  await client.query(`delete from ${name} where runs = 0`);
}
