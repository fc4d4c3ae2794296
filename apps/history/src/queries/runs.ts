import { Controller } from '@nestjs/common';
import { type FilterQuery, type InferEntity } from '@mikro-orm/core';
import { Answers, subjects, type Page, type Request, type RunFilter, type Seen } from '#bus';
import { isId, Refusal, runStatuses, type RunRow, type RunStatus } from '#domain';
import { withStore } from '#ledger';
import { Context } from '#service';
import { RunView } from '../views.js';
import { Views } from '../views.service.js';

type Where = FilterQuery<InferEntity<typeof RunView>>;

@Controller()
export class RunQueries {
  constructor(
    private readonly context: Context,
    private readonly views: Views,
  ) {}

  @Answers(subjects.listRuns)
  list({ data: filter }: Request<RunFilter>): Promise<Seen<Page<RunRow>>> {
    return this.views.seen('run_view', filter.after, () =>
      filter.started ? this.byStart(filter) : this.byBirth(filter),
    );
  }

  @Answers(subjects.getRun)
  get({ data: { id, after } }: Request<{ id: string; after?: string }>): Promise<Seen<RunRow | null>> {
    const ask = async () => (isId(id) ? this.one('select row from run_view where id = $1', id) : null);
    return this.views.seen('run_view', after, ask);
  }

  @Answers(subjects.getRunByNumber)
  byNumber({ data: { number, after } }: Request<{ number: number; after?: string }>): Promise<Seen<RunRow | null>> {
    return this.views.seen('run_view', after, () =>
      this.one('select row from run_view where number = $1', asInteger(number)),
    );
  }

  @Answers(subjects.countRuns)
  count({
    data: { owner, after },
  }: Request<{ owner?: string; after?: string }>): Promise<Seen<Record<RunStatus, number>>> {
    return this.views.seen('run_view', after, () => this.counted(owner));
  }

  private async counted(owner: string | undefined): Promise<Record<RunStatus, number>> {
    const text =
      'select status, sum(runs)::bigint as runs from run_count where $1::text is null or owner = $1 group by status';
    const { rows } = await withStore(() =>
      this.context.pool.query<{ status: RunStatus; runs: string }>(text, [owner ?? null]),
    );
    const counts = Object.fromEntries(runStatuses.map((status) => [status, 0])) as Record<RunStatus, number>;
    for (const { status, runs } of rows) counts[status] = Number(runs);
    return counts;
  }

  /** By the position of the first event, newest first unless asked otherwise. */
  private async byBirth(filter: RunFilter): Promise<Page<RunRow>> {
    const where: Where[] = this.conditions(filter);
    const { cursor, oldestFirst = false } = filter;
    if (cursor) where.push({ born: { [oldestFirst ? '$gt' : '$lt']: numeral(cursor) } });
    const rows = await this.find({ $and: where }, { born: oldestFirst ? 'asc' : 'desc' }, filter.limit);
    return { items: rows.map(({ row }) => row), next: rows.length === filter.limit ? rows.at(-1)!.born : null };
  }

  /** By start, newest first; the cursor is the last one's start and number. */
  private async byStart(filter: RunFilter): Promise<Page<RunRow>> {
    const where: Where[] = [...this.conditions(filter), { startedAt: { $ne: null } }];
    if (filter.cursor) {
      const [at, number] = filter.cursor.split('_');
      const startedAt = new Date(at ?? '');
      if (Number.isNaN(startedAt.getTime())) throw badCursor();
      where.push({
        $or: [{ startedAt: { $lt: startedAt } }, { startedAt, number: { $lt: asInteger(numeral(number ?? '')) } }],
      });
    }
    const rows = await this.find({ $and: where }, { startedAt: 'desc', number: 'desc' }, filter.limit);
    const last = rows.at(-1)?.row;
    return {
      items: rows.map(({ row }) => row),
      next: last && rows.length === filter.limit ? `${last.startedAt}_${last.number}` : null,
    };
  }

  private conditions(filter: RunFilter): Where[] {
    const { owner, process, processNumber, status, server, batch, from, to } = filter;
    if (process !== undefined && !isId(process)) return [{ id: null }] as unknown as Where[];
    return [
      ...(owner !== undefined ? [{ owner }] : []),
      ...(process !== undefined ? [{ processId: process }] : []),
      ...(processNumber !== undefined ? [{ processNumber: asInteger(processNumber) }] : []),
      ...(status?.length === 1 ? [{ status: status[0]! }] : []),
      ...(status && status.length > 1 ? [{ status: { $in: status } }] : []),
      ...(server !== undefined ? [{ server }] : []),
      ...(batch !== undefined ? [{ batch }] : []),
      ...(from !== undefined ? [{ requestedAt: { $gte: new Date(from) } }] : []),
      ...(to !== undefined ? [{ requestedAt: { $lt: new Date(to) } }] : []),
    ];
  }

  private find(where: Where, orderBy: object, limit: number) {
    const em = this.context.orm.em.fork({ disableTransactions: true });
    const fields = ['row', 'born'] as const;
    return withStore(() => em.find(RunView, where, { orderBy, limit, fields, disableIdentityMap: true }));
  }

  private async one(text: string, value: string | number): Promise<RunRow | null> {
    const { rows } = await withStore(() =>
      this.context.pool.query<{ row: string }>({ name: text, text, values: [value] }),
    );
    return rows[0] ? (JSON.parse(rows[0].row) as RunRow) : null;
  }
}

const badCursor = () => new Refusal('malformed', 'BAD_CURSOR', 'cursor: use the one that the page before gave');

const largest = 2_147_483_647;

/** As a column holds it: beyond its end there is nothing, and PostgreSQL would call the question wrong. */
export const asInteger = (value: string | number): number => Math.max(-largest, Math.min(largest, Number(value)));

export function numeral(value: string): string {
  if (!/^\d{1,18}$/.test(value)) throw badCursor();
  return value;
}
