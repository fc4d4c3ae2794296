import { type Target } from '#ledger';

/** How many rows more, or fewer, there are of a kind; kinds may come more than once. */
export interface Change {
  kind: readonly [string, string];
  more: number;
}

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

const tables = {
  run_count: { by: ['owner', 'status'], counts: 'runs' },
  batch_count: { by: ['batch', 'status'], counts: 'runs' },
  activity_count: { by: ['owner', 'type'], counts: 'entries' },
} as const;

/** Counts rows that have come, gone or changed. */
export function count(
  target: Target,
  named: 'run_count' | 'batch_count',
  by: 'owner' | 'batch',
  steps: Step[],
): Promise<void> {
  const changes: Change[] = [];
  const add = (counted: Counted | null, more: number) => {
    const key = counted?.[by] ?? null;
    if (counted && key !== null) changes.push({ kind: [key, counted.status], more });
  };
  for (const { before, after } of steps) {
    add(before, -1);
    add(after, 1);
  }
  return addCounts(target, named, changes);
}

/** Adds the differences; a count of zero leaves, so that a rebuild that visits other states comes to the same rows. */
export async function addCounts(
  { client, table }: Target,
  named: keyof typeof tables,
  changes: readonly Change[],
): Promise<void> {
  const sums = summed(changes);
  if (sums.length === 0) return;
  const { by, counts } = tables[named];
  const name = table(named);
  const { rows } = await client.query<{ n: string }>(
    `insert into ${name} (${by.join(', ')}, ${counts})
    select a, b, n from json_to_recordset($1) as r(a text, b text, n bigint)
    on conflict (${by.join(', ')}) do update set ${counts} = ${name}.${counts} + excluded.${counts} returning ${counts} as n`,
    [JSON.stringify(sums)],
  );
  if (rows.some(({ n }) => Number(n) === 0)) await client.query(`delete from ${name} where ${counts} = 0`);
}

function summed(changes: readonly Change[]): { a: string; b: string; n: number }[] {
  const sums = new Map<string, { a: string; b: string; n: number }>();
  for (const { kind, more } of changes) {
    const [a, b] = kind;
    const key = `${a}\n${b}`;
    const sum = sums.get(key);
    if (sum) sum.n += more;
    else sums.set(key, { a, b, n: more });
  }
  return [...sums.values()].filter(({ n }) => n !== 0);
}
