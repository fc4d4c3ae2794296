import {
  activityOf,
  activityOfNotice,
  foldSource,
  type Activity,
  type ActivityEvent,
  type ActivitySource,
  type NotificationEvent,
} from '#domain';
import { copyIn, type FoldedEvent, type Projection, type Target } from '#ledger';
import { addCounts } from './counts.js';

/** A stream that entries are made of; `known`: it has a row. */
interface Source {
  known: boolean;
  source: ActivitySource;
}
type Sources = Map<string, Source>;

interface Purged {
  id: string;
  position: string;
}

interface Entry {
  position: string;
  run: string | null;
  source: Pick<ActivitySource, 'owner' | 'process'>;
  activity: Activity;
}

const idOf = (stream: string): string => stream.slice(stream.indexOf('-') + 1);

/**
 * The activity log: entries of processes and of their runs. A run without a process makes none. `activity_source` holds whom and what an entry is about, for later entries of the same stream.
 */
export const activityView: Projection = {
  name: 'activity_view',
  tables: ['activity_view', 'activity_source', 'activity_count'],
  categories: ['process', 'run', 'notification'],
  async apply(target, all) {
    const events = all.filter(({ stream }) => !stream.startsWith('notification-'));
    const sources = await existing(target, events);
    const entries = all.length > events.length ? all.flatMap(noticeEntry) : [];
    const touched = new Map<string, Source>();
    const purged: Purged[] = [];
    for (const event of events) {
      const id = idOf(event.stream);
      if (event.type === 'RunPurged') {
        purged.push({ id, position: event.position });
        touched.delete(id);
        sources.delete(id);
        continue;
      }
      const before = sources.get(id);
      const source = sourceAfter(sources, id, event);
      if (!source) continue;
      const now = { known: before?.known ?? false, source };
      sources.set(id, now);
      if (source !== before?.source) touched.set(id, now);
      const activity = activityOf(source, event as unknown as ActivityEvent);
      const run = event.stream.startsWith('run-') ? id : null;
      if (activity) entries.push({ position: event.position, run, source, activity });
    }
    await write(target, touched, entries);
    if (purged.length > 0) await drop(target, purged);
  },
};

function noticeEntry({ stream, position, ...told }: FoldedEvent): Entry[] {
  if (!stream.startsWith('notification-')) return [];
  const event = told as unknown as NotificationEvent;
  const activity = activityOfNotice(event);
  const { owner, process, run } = event.data;
  return activity && process ? [{ position, run, source: { owner, process }, activity }] : [];
}

function sourceAfter(sources: Sources, id: string, event: FoldedEvent): ActivitySource | null {
  const told = event as unknown as ActivityEvent;
  const process = told.type === 'RunRequested' ? told.data.process?.id : undefined;
  const owner = process === undefined ? undefined : sources.get(process)?.source.owner;
  return foldSource(sources.get(id)?.source ?? null, id, told, owner);
}

/** Rows of streams that began before this batch, and of the processes of runs that begin in it. */
async function existing({ client, table }: Target, events: FoldedEvent[]): Promise<Sources> {
  const born = new Set<string>();
  const ids = new Set<string>();
  for (const { type, stream, data } of events) {
    const id = idOf(stream);
    if (type === 'RunRequested' || type === 'ProcessDefined') born.add(id);
    else if (!born.has(id)) ids.add(id);
    const { process } = data as { process?: { id: string } | null };
    if (type === 'RunRequested' && process && !born.has(process.id)) ids.add(process.id);
  }
  if (ids.size === 0) return new Map();
  const text = `select id, owner, process, name, started_at as "startedAt" from ${table('activity_source')} where id = any($1::uuid[])`;
  const { rows } = await client.query<ActivitySource & { id: string }>(text, [[...ids]]);
  return new Map(rows.map(({ id, ...source }) => [id, { known: true, source }]));
}

async function write(target: Target, touched: Sources, entries: Entry[]): Promise<void> {
  const all = [...touched];
  await insertSources(
    target,
    all.filter(([, { known }]) => !known),
  );
  await updateSources(
    target,
    all.filter(([, { known }]) => known),
  );
  if (entries.length === 0) return;
  await insertEntries(target, entries);
  await addCounts(
    target,
    'activity_count',
    entries.map(({ source, activity }) => ({ kind: [source.owner, activity.type], more: 1 })),
  );
}

const sourceColumns = { id: 'uuid', owner: 'text', process: 'uuid', name: 'text', started_at: 'text' } as const;

async function insertSources({ client, table }: Target, all: [string, Source][]): Promise<void> {
  if (all.length === 0) return;
  await copyIn(client, table('activity_source'), sourceColumns, all, ([id, { source }]) => [
    id,
    source.owner,
    source.process,
    source.name,
    source.startedAt,
  ]);
}

async function updateSources({ client, table }: Target, all: [string, Source][]): Promise<void> {
  if (all.length === 0) return;
  await client.query(
    `update ${table('activity_source')} v set name = r.name, started_at = r.started_at
    from unnest($1::uuid[], $2::text[], $3::text[]) as r(id, name, started_at)
    where v.id = r.id and v.id = any ($1::uuid[])`,
    [all.map(([id]) => id), all.map(([, { source }]) => source.name), all.map(([, { source }]) => source.startedAt)],
  );
}

const entryColumns = {
  position: 'bigint',
  owner: 'text',
  type: 'text',
  process: 'uuid',
  run: 'uuid',
  at: 'timestamptz',
  message: 'text',
  metadata: 'text',
} as const;

async function insertEntries({ client, table }: Target, entries: Entry[]): Promise<void> {
  await copyIn(client, table('activity_view'), entryColumns, entries, ({ position, run, source, activity }) => [
    position,
    source.owner,
    activity.type,
    source.process,
    run,
    activity.at,
    activity.message,
    JSON.stringify(activity.metadata),
  ]);
}

/** What a purged run left here goes with it; word of it that is recorded later stays, however the events are cut into batches. */
async function drop(target: Target, runs: Purged[]): Promise<void> {
  const { client, table } = target;
  const ids = runs.map(({ id }) => id);
  const text = `with gone as (delete from ${table('activity_view')} v using unnest($1::uuid[], $2::bigint[]) as p(run, position)
      where v.run = p.run and v.run = any($1::uuid[]) and v.position < p.position returning v.owner, v.type)
    select owner, type, count(*)::int as n from gone group by owner, type`;
  const { rows } = await client.query<{ owner: string; type: string; n: number }>(text, [
    ids,
    runs.map(({ position }) => position),
  ]);
  await client.query(`delete from ${table('activity_source')} where id = any($1::uuid[])`, [ids]);
  const fewer = rows.map(({ owner, type, n }) => ({ kind: [owner, type] as const, more: -n }));
  await addCounts(target, 'activity_count', fewer);
}
