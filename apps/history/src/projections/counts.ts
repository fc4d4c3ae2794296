import { type Target } from '#ledger';

interface Counted {
  owner: string;
  batch: string | null;
  status: string;
}

/** What a row was counted as before, and what it is counted as now; null where it is not there. */
export interface Step {
  before: Counted | null;
  after: Counted | null;
}

/** Adds the differences; a count of zero leaves, so that a rebuild that visits other states comes to the same rows. */
export async function count(
  { client, table }: Target,
  named: 'run_count' | 'batch_count',
  by: 'owner' | 'batch',
  steps: Step[],
): Promise<void> {
  const changed = differences(by, steps);
  if (changed.length === 0) return;
  const name = table(named);
  const { rows } = await client.query<{ runs: string }>(
    `insert into ${name} (${by}, status, runs)
    select key, status, runs from json_to_recordset($1) as r(key text, status text, runs bigint)
    on conflict (${by}, status) do update set runs = ${name}.runs + excluded.runs returning runs`,
    [JSON.stringify(changed)],
  );
  if (rows.some(({ runs }) => Number(runs) === 0)) await client.query(`delete from ${name} where runs = 0`);
}

function differences(by: 'owner' | 'batch', steps: Step[]) {
  const changes = new Map<string, { key: string; status: string; runs: number }>();
  const add = (counted: Counted | null, runs: number) => {
    const key = counted?.[by];
    if (!counted || key === null || key === undefined) return;
    const id = `${key}\n${counted.status}`;
    const change = changes.get(id) ?? { key, status: counted.status, runs: 0 };
    change.runs += runs;
    changes.set(id, change);
  };
  for (const { before, after } of steps) {
    add(before, -1);
    add(after, 1);
  }
  return [...changes.values()].filter(({ runs }) => runs !== 0);
}
