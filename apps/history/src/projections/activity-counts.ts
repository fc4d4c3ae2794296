import { type Target } from '#ledger';

export interface ActivityCount {
  owner: string;
  type: string;
  entries: number;
}

/** Adds to how many entries of a type somebody has; a count of zero leaves, so that a rebuild comes to the same rows. */
export async function countActivity({ client, table }: Target, changes: ActivityCount[]): Promise<void> {
  const name = table('activity_count');
  const { rows } = await client.query<{ entries: string }>(
    `insert into ${name} (owner, type, entries)
    select owner, type, entries from json_to_recordset($1) as r(owner text, type text, entries bigint)
    on conflict (owner, type) do update set entries = ${name}.entries + excluded.entries returning entries`,
    [JSON.stringify(summed(changes))],
  );
  if (rows.some(({ entries }) => Number(entries) === 0)) await client.query(`delete from ${name} where entries = 0`);
}

function summed(changes: ActivityCount[]): ActivityCount[] {
  const sums = new Map<string, ActivityCount>();
  for (const { owner, type, entries } of changes) {
    const key = `${owner}\n${type}`;
    const sum = sums.get(key) ?? { owner, type, entries: 0 };
    sum.entries += entries;
    sums.set(key, sum);
  }
  return [...sums.values()];
}
