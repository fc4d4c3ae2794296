import { Controller } from '@nestjs/common';
import { Answers, subjects, type BatchCard, type Page, type Paged, type Request, type Seen } from '#bus';
import { isId, runStatuses, type RunStatus } from '#domain';
import { withStore } from '#ledger';
import { Context } from '#service';
import { type BatchRow } from '../projections/batches.js';
import { Views } from '../views.service.js';
import { numeral } from './runs.js';

interface Row {
  born: string;
  row: BatchRow;
  counts: Partial<Record<RunStatus, number>> | null;
}

/** What is still coming in is not shown, so that a batch has all its runs whenever it is looked at. */
const whole = `v.complete <= (select position from checkpoint where name = 'run_view')`;
const columns = `v.born, v.row, (select json_object_agg(c.status, c.runs) from batch_count c where c.batch = v.id::text) as counts`;

@Controller()
export class BatchQueries {
  constructor(
    private readonly context: Context,
    private readonly views: Views,
  ) {}

  /** Newest first, by the position of the first event. */
  @Answers(subjects.listBatches)
  list({ data }: Request<Paged & { owner?: string }>): Promise<Seen<Page<BatchCard>>> {
    const { owner, cursor, limit, after } = data;
    const text = `select ${columns} from batch_view v
      where ${whole} and ($1::text is null or v.owner = $1) and ($2::bigint is null or v.born < $2) order by v.born desc limit $3`;
    return this.views.seen('run_view', after, async () => {
      const rows = await this.ask<Row>('batches-list', text, [
        owner ?? null,
        cursor === undefined ? null : numeral(cursor),
        limit,
      ]);
      return { items: rows.map(cardOf), next: rows.length === limit ? rows.at(-1)!.born : null };
    });
  }

  @Answers(subjects.countBatches)
  count({ data: { owner, after } }: Request<{ owner?: string; after?: string }>): Promise<Seen<number>> {
    const text = `select count(*)::int as batches from batch_view v where ${whole} and ($1::text is null or owner = $1)`;
    return this.views.seen(
      'run_view',
      after,
      async () => (await this.ask<{ batches: number }>('batches-count', text, [owner ?? null]))[0]!.batches,
    );
  }

  @Answers(subjects.getBatch)
  get({ data: { id, after } }: Request<{ id: string; after?: string }>): Promise<Seen<BatchCard | null>> {
    return this.views.seen('run_view', after, async () => {
      const text = `select ${columns} from batch_view v where ${whole} and v.id = $1`;
      const [row] = isId(id) ? await this.ask<Row>('batches-get', text, [id]) : [];
      return row ? cardOf(row) : null;
    });
  }

  private async ask<R extends object>(name: string, text: string, values: unknown[]): Promise<R[]> {
    return (await withStore(() => this.context.pool.query<R>({ name, text, values }))).rows;
  }
}

function cardOf({ row, counts }: Row): BatchCard {
  const all = runStatuses.map((status) => [status, counts?.[status] ?? 0]);
  return { ...row, counts: Object.fromEntries(all) as BatchCard['counts'] };
}
