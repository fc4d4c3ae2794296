import { type ClientBase } from 'pg';

/** The table beside a read model's table that a rebuild fills. */
export const shadowOf = (table: string): string => `${table}_next`;

/**
 * Empty, with the columns, defaults, constraints and storage settings of the live table. Answers the statements that give it
 * the live one's other indexes: made when it is full, they cost a fraction of what keeping them up row by row does.
 */
export async function makeShadow(client: ClientBase, table: string): Promise<string[]> {
  const text = `select array_to_string(reloptions, ', ') as options from pg_class where oid = $1::regclass`;
  const { rows } = await client.query<{ options: string | null }>(text, [table]);
  const options = rows[0]?.options ? `with (${rows[0].options})` : '';
  await client.query(`drop table if exists ${shadowOf(table)}`);
  await client.query(`create table ${shadowOf(table)} (like ${table} including all) ${options}`);
  const plain = await client.query<{ name: string; statement: string }>(
    `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as statement from pg_index i
    where i.indrelid = $1::regclass and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`,
    [shadowOf(table)],
  );
  for (const { name } of plain.rows) await client.query(`drop index ${name}`);
  return plain.rows.map(({ statement }) => statement);
}

/** Puts the shadow in the live table's place, its indexes under the names that the live ones had. */
export async function exchange(client: ClientBase, table: string): Promise<void> {
  const names = await indexesOf(client, table);
  await client.query(`drop table ${table}`);
  await client.query(`alter table ${shadowOf(table)} rename to ${table}`);
  for (const { name, shape } of await indexesOf(client, table)) {
    const found = names.findIndex((old) => old.shape === shape);
    if (found < 0) continue;
    const [old] = names.splice(found, 1);
    await client.query(`alter index "${name}" rename to "${old!.name}"`);
  }
}

/** `shape` is all of an index's definition but its own name and its table's. */
async function indexesOf(client: ClientBase, table: string): Promise<{ name: string; shape: string }[]> {
  const text = `select c.relname as name,
      concat_ws(' ', i.indisprimary, i.indisunique, regexp_replace(pg_get_indexdef(c.oid), '^.*? USING ', '')) as shape
    from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = $1::regclass order by c.oid`;
  return (await client.query<{ name: string; shape: string }>(text, [table])).rows;
}
