import { Controller } from '@nestjs/common';
import { type FilterQuery, type InferEntity } from '@mikro-orm/core';
import { Answers, subjects, type Page, type ProcessFilter, type ProcessListed, type Request, type Seen } from '#bus';
import { ifComputable, isId, scheduleOf, type ProcessRow, type RunRow } from '#domain';
import { withStore } from '#ledger';
import { Context } from '#service';
import { ProcessView } from '../views.js';
import { Views } from '../views.service.js';
import { asInteger, numeral } from './runs.js';

type Where = FilterQuery<InferEntity<typeof ProcessView>>;

@Controller()
export class ProcessQueries {
  constructor(
    private readonly context: Context,
    private readonly views: Views,
  ) {}

  @Answers(subjects.listProcesses)
  list({ data: filter }: Request<ProcessFilter>): Promise<Seen<Page<ProcessListed>>> {
    return this.views.seen('process_view', filter.after, () => this.page(filter));
  }

  private async page({ q, kind, enabled, owner, order, cursor, limit }: ProcessFilter): Promise<Page<ProcessListed>> {
    const like = q ? { $ilike: `%${q.replace(/[\\%_]/g, '\\$&')}%` } : null;
    const where: Where[] = [
      { retired: false },
      ...(like ? [{ $or: [{ name: like }, { description: like }] }] : []),
      ...(kind !== undefined ? [{ kind }] : []),
      ...(enabled !== undefined ? [{ enabled }] : []),
      ...(owner !== undefined ? [{ owner }] : []),
    ];
    if (cursor)
      where.push(
        order === 'number' ? { number: { $gt: asInteger(numeral(cursor)) } } : { born: { $lt: numeral(cursor) } },
      );
    const rows = await this.find({ $and: where }, order === 'number' ? { number: 'asc' } : { born: 'desc' }, limit);
    const last = rows.length === limit ? rows.at(-1) : undefined;
    const next = last ? (order === 'number' ? String(last.number) : last.born) : null;
    return { items: await this.withRuns(rows.map(({ row }) => row)), next };
  }

  @Answers(subjects.getProcess)
  get({
    data: { id, number, after },
  }: Request<{ id?: string; number?: number; after?: string }>): Promise<Seen<ProcessListed | null>> {
    return this.views.seen('process_view', after, async () => {
      if (id !== undefined && !isId(id)) return null;
      const rows = await this.find(id === undefined ? { number: asInteger(number ?? -1) } : { id }, {}, 1);
      return (await this.withRuns(rows.map(({ row }) => row)))[0] ?? null;
    });
  }

  private find(where: Where, orderBy: object, limit: number) {
    const em = this.context.orm.em.fork({ disableTransactions: true });
    return withStore(() => em.find(ProcessView, where, { orderBy, limit, disableIdentityMap: true }));
  }

  /** Adds each one's newest started run, and when its triggers are next due. */
  private async withRuns(processes: ProcessRow[]): Promise<ProcessListed[]> {
    if (processes.length === 0) return [];
    const text = `select p.number, r.row::json from unnest($1::int[]) as p(number), lateral (
      select row from run_view where process_number = p.number and started_at is not null
      order by started_at desc, number desc limit 1) r`;
    const values = [processes.map(({ number }) => number)];
    const { rows } = await withStore(() =>
      this.context.pool.query<{ number: number; row: RunRow }>({ name: 'process-last-runs', text, values }),
    );
    const lastRuns = new Map(rows.map(({ number, row }) => [number, row]));
    const now = new Date();
    return processes.map((row) => ({
      ...row,
      lastRun: lastRuns.get(row.number) ?? null,
      nextRunAt: nextRun(row, now),
    }));
  }
}

/** One trigger that cannot be computed any more is no reason to show no list. */
function nextRun({ enabled, triggers }: ProcessRow, now: Date): string | null {
  if (!enabled) return null;
  const due = triggers.flatMap((each) =>
    ifComputable(
      () => scheduleOf(each).next(now)?.toISOString() ?? [],
      () => [],
    ),
  );
  return due.sort()[0] ?? null;
}
