import { type Pool } from 'pg';
import { withStore } from '#ledger';

interface Row {
  ready: Date | string | null;
  retry: boolean;
  queue: string;
  living: number;
  serving: number;
  light: boolean;
  going: number;
  most: number;
  rival: string | null;
  before: number;
}

const mostCounted = 1_000;

/** One look at the queue: what of the claim's conditions a run does not meet yet. */
const text = `select case when q.deferred and q.ready_at > clock_timestamp() then q.ready_at end as ready, q.attempt > 0 as retry, q.queue,
    q.weight = 0 as light,
    (select count(*)::int from executor_lease l where l.until > clock_timestamp()) as living,
    (select count(*)::int from executor_lease l where l.until > clock_timestamp() and (l.queues is null or q.queue = any (l.queues))) as serving,
    (select count(*)::int from queue o where o.running and o.weight > 0 and o.owner = q.owner) as going,
    coalesce((select l.most from run_limit l where l.owner = q.owner), (select l.most from run_limit l where l.owner = '')) as most,
    case when q.overlap in ('queue', 'cancel-previous') and q.attempt = 0 then
      (select o.run_id from queue o where o.attempt > 0 and o.process_id = q.process_id limit 1) end as rival,
    (select count(*)::int from (select from queue o where not o.running and not o.deferred and o.queue = q.queue
      and (o.rank, o.run_id) < (q.rank, q.run_id) limit ${mostCounted}) b) as before
  from queue q where q.run_id = $1 and not q.running`;

/** Why a run that is queued has not started, in words; null when it is not waiting (any more). */
export async function explainWait(pool: Pool, run: string): Promise<string | null> {
  const { rows } = await withStore(() => pool.query<Row>({ name: 'queue-wait', text, values: [run] }));
  return rows[0] ? wordsFor(rows[0]) : null;
}

function wordsFor({ ready, retry, queue, light, living, serving, going, most, rival, before }: Row): string {
  if (ready) return `${retry ? 'waits for its next attempt' : 'is due'} at ${new Date(ready).toISOString()}`;
  if (living === 0) return 'no executor is running';
  if (serving === 0) return `no executor serves the queue "${queue}"`;
  if (rival) return `waits for the run before it, ${rival}, to end`;
  if (!light && going >= most)
    return `its owner has ${going} ${going === 1 ? 'run' : 'runs'} going, and the limit is ${most}`;
  if (before === 0) return 'is next: it starts as soon as a slot is free';
  const many = before === mostCounted ? `${mostCounted} or more` : String(before);
  return `waits for a free slot; ${many} ${before === 1 ? 'run is' : 'runs are'} before it`;
}
