import { type BatchEvent } from '#domain';
import { type FoldedEvent, type Target } from '#ledger';

/** What stays of a batch itself; its counts follow from its runs. */
export interface BatchRow {
  id: string;
  name: string;
  description: string | null;
  owner: string;
  createdAt: string;
}

/** `batch_view`: a batch comes with its first event and leaves when it is deleted. */
export async function foldBatches({ client, table }: Target, events: FoldedEvent[]): Promise<void> {
  const view = table('batch_view');
  for (const event of events) {
    if (!event.stream.startsWith('batch-')) continue;
    const id = event.stream.slice('batch-'.length);
    const { type, data } = event as unknown as BatchEvent;
    if (type === 'BatchDeleted') await client.query(`delete from ${view} where id = $1`, [id]);
    if (type !== 'BatchCreated') continue;
    const { name, description, owner, births, at: createdAt } = data;
    const complete = String(BigInt(event.position) + BigInt(births));
    const row: BatchRow = { id, name, description, owner, createdAt };
    const text = `insert into ${view} (id, born, complete, owner, row) values ($1, $2, $3, $4, $5)`;
    await client.query(text, [id, event.position, complete, owner, JSON.stringify(row)]);
  }
}
