import { type Pool } from 'pg';
import { type Policies } from '#domain';
import { type Head } from '#ledger';

/** What a stream's first event says of whose it is. */
export interface Birth {
  owner: string | null;
  process: string | null;
  notify: Policies['notify'] | null;
}

interface Row extends Birth {
  stream: string;
}

/** What happens to a schedule belongs to its process. */
export const streamOf = ({ stream }: Pick<Head, 'stream'>): string => stream.replace(/^schedule-/, 'process-');

/** By stream: a run's, a process's, a batch's and so on. */
export async function birthsOf(pool: Pool, heads: readonly Pick<Head, 'stream'>[]): Promise<Map<string, Birth>> {
  const streams = [...new Set(heads.map(streamOf))];
  if (streams.length === 0) return new Map();
  const text = `select stream, data->>'owner' as owner, data#>'{policies,notify}' as notify,
      case when stream ^@ 'process-' then substr(stream, 9) when stream ^@ 'notification-' then data->>'process'
        else data#>>'{process,id}' end as process
    from event where stream = any($1) and version = 1`;
  const { rows } = await pool.query<Row>({ name: 'births', text, values: [streams] });
  return new Map(rows.map(({ stream, owner, process, notify }) => [stream, { owner, process, notify }]));
}
