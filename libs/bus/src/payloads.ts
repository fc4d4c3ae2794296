import { randomUUID } from 'node:crypto';

/** Where a message's text waits when it is too large to travel. */
export interface PayloadStore {
  put(text: string): Promise<string>;
  /** Reads and deletes: a message has one receiver. */
  take(id: string): Promise<string>;
}

export interface PayloadDatabase {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>;
}

/** Unlogged: a row outlives its call by nothing, and megabytes stay out of the write-ahead log. */
export const payloadMigrationSql = `
create unlogged table bus_payload (
  id uuid primary key,
  body text not null,
  created_at timestamptz not null default now()
);
create index bus_payload_created_at on bus_payload (created_at);
`;

const SWEEP_EVERY_MS = 60_000;

export class PostgresPayloads implements PayloadStore {
  private sweptAt = 0;

  constructor(private readonly database: PayloadDatabase) {}

  async put(text: string): Promise<string> {
    const id = randomUUID();
    await this.database.query('insert into bus_payload (id, body) values ($1, $2)', [id, text]);
    await this.sweep();
    return id;
  }

  async take(id: string): Promise<string> {
    const { rows } = await this.database.query('delete from bus_payload where id = $1 returning body', [id]);
    const row = rows[0] as { body: string } | undefined;
    if (!row) throw new Error(`Payload ${id} is gone`);
    return row.body;
  }

  /** What nobody took: the receiver died, or the call timed out before. */
  private async sweep(): Promise<void> {
    if (Date.now() - this.sweptAt < SWEEP_EVERY_MS) return;
    this.sweptAt = Date.now();
    await this.database.query(`delete from bus_payload where created_at < now() - interval '10 minutes'`);
  }
}
