import { Controller } from '@nestjs/common';
import { Answers, subjects, type ActivityEntry, type ActivityFilter, type Request, type Seen } from '#bus';
import { withStore } from '#ledger';
import { Context } from '#service';
import { Views } from '../views.service.js';

interface Row extends Omit<ActivityEntry, 'at'> {
  at: Date | string;
}

const columns = 'position::text as id, owner, type, process, run, at, message, metadata';

@Controller()
export class ActivityQueries {
  constructor(
    private readonly context: Context,
    private readonly views: Views,
  ) {}

  /** Newest first, by position. */
  @Answers(subjects.listActivity)
  list({ data }: Request<ActivityFilter>): Promise<Seen<{ entries: ActivityEntry[]; total: number }>> {
    return this.views.seen('activity_view', data.after, async () => {
      const [entries, total] = await Promise.all([this.entries(data), this.total(data)]);
      return { entries, total };
    });
  }

  private async entries({ owner, type, limit, offset }: ActivityFilter): Promise<ActivityEntry[]> {
    const { by, where, values } = conditions({ owner, type });
    const text = `select ${columns} from activity_view ${where} order by activity_view.position desc
      limit $${values.length + 1} offset $${values.length + 2}`;
    const rows = await this.ask<Row>(`activity${by}`, text, [...values, limit, offset]);
    return rows.map((row) => ({ ...row, at: new Date(row.at).toISOString() }));
  }

  private async total({ owner, type }: ActivityFilter): Promise<number> {
    const { by, where, values } = conditions({ owner, type });
    const text = `select coalesce(sum(entries), 0)::bigint as total from activity_count ${where}`;
    return Number((await this.ask<{ total: string }>(`activity-total${by}`, text, values))[0]!.total);
  }

  private async ask<T extends object>(name: string, text: string, values: unknown[]): Promise<T[]> {
    return (await withStore(() => this.context.pool.query<T>({ name, text, values }))).rows;
  }
}

/** Only what is asked for stands in the question: each has an index of its own. */
function conditions(filter: { owner: string | undefined; type: string | undefined }) {
  const asked = Object.entries(filter).filter(([, value]) => value !== undefined);
  const terms = asked.map(([column], i) => `${column} = $${i + 1}`);
  const by = asked.map(([column]) => `-${column}`).join('');
  const where = terms.length > 0 ? `where ${terms.join(' and ')}` : '';
  return { by, where, values: asked.map(([, value]) => value) };
}
