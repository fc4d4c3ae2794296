import { foldProcess, type ProcessEvent, type ProcessRow } from '#domain';
import { type Projection } from '#ledger';

interface Folded {
  born: string;
  row: ProcessRow;
}

export const processView: Projection = {
  name: 'process_view',
  tables: ['process_view'],
  categories: ['process'],
  async apply({ client, table }, events) {
    const name = table('process_view');
    const ids = [...new Set(events.map(({ stream }) => stream.slice('process-'.length)))];
    const { rows } = await client.query<{ id: string; born: string; row: ProcessRow }>(
      `select id, born, row from ${name} where id = any($1::uuid[])`,
      [ids],
    );
    const folded = new Map<string, Folded>(rows.map(({ id, born, row }) => [id, { born, row }]));
    for (const event of events) {
      const id = event.stream.slice('process-'.length);
      const known = folded.get(id);
      const row = foldProcess(known?.row ?? null, id, event as unknown as ProcessEvent);
      if (row) folded.set(id, { born: known?.born ?? event.position, row });
    }
    const records = [...folded.values()].map(({ born, row }) => {
      const { id, number, description, owner, enabled, retired, action } = row;
      return { id, born, number, name: row.name, description, kind: action.kind, owner, enabled, retired, row };
    });
    await client.query(
      `insert into ${name} (id, born, number, name, description, kind, owner, enabled, retired, row)
      select id, born, number, name, description, kind, owner, enabled, retired, row
      from json_to_recordset($1) as r(id uuid, born bigint, number integer, name text, description text, kind text, owner text,
        enabled boolean, retired boolean, row json)
      on conflict (id) do update set name = excluded.name, description = excluded.description, kind = excluded.kind,
        enabled = excluded.enabled, retired = excluded.retired, row = excluded.row`,
      [JSON.stringify(records)],
    );
  },
};
