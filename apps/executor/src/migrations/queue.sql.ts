/**
 * The queue and its claim. Rows are filled by a run's birth, taken by the claim inside the ledger's flush, and leave with
 * the run's end. Everything here happens under the ledger's lock, so caps and overlap rules hold on any number of executors.
 */
export const queueSql = String.raw`
create table executor_lease (
  executor text primary key,
  server text not null,
  until timestamptz not null
);

create table queue (
  run_id uuid primary key,
  process_id uuid,
  owner text not null,
  priority smallint not null,
  ready_at timestamptz not null,
  overlap text not null,
  weight smallint not null,
  running boolean not null default false,
  attempt integer not null default 0,
  version integer not null default 1,
  epoch bigint,
  executor text,
  cancel boolean not null default false,
  correlation text not null,
  work json not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
-- One for each kind of place, in the order of the claim: it reads as many rows as it takes, however many wait.
create index queue_heavy on queue (priority desc, ready_at, run_id) where not running and weight > 0;
create index queue_light on queue (priority desc, ready_at, run_id) where not running and weight = 0;
create index queue_running on queue (executor) where running;
create index queue_process on queue (process_id) where attempt > 0 and process_id is not null;
create index queue_superseding on queue (process_id) where not running and overlap = 'cancel-previous';

create function queue_add(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into queue (run_id, process_id, owner, priority, ready_at, overlap, weight, correlation, work)
  select r.run, r.process, r.owner, r.priority, coalesce(r."readyAt", at), r.overlap, r.weight, r.correlation, r.work
  from json_to_recordset(rows) as r(n integer, run uuid, process uuid, owner text, priority smallint, "readyAt" timestamptz,
    overlap text, weight smallint, correlation text, work json)
  where r.n <> all (refused);
  select null::json;
$$;

-- The keys as an array here and below: found one by one, where a join would read the whole of a long queue for each.
create function queue_end(rows json, refused integer[], at timestamptz) returns json language sql as $$
  delete from queue q where q.run_id = any (array(
    select r.run from json_to_recordset(rows) as r(n integer, run uuid) where r.n <> all (refused)));
  select null::json;
$$;

create function queue_retry(rows json, refused integer[], at timestamptz) returns json language sql as $$
  update queue q set running = false, executor = null, epoch = null, cancel = false, ready_at = r."dueAt", version = r.version
  from json_to_recordset(rows) as r(n integer, run uuid, "dueAt" timestamptz, version integer)
  where q.run_id = r.run and r.n <> all (refused)
    and q.run_id = any (array(select k.run from json_to_recordset(rows) as k(run uuid)));
  select null::json;
$$;

create function queue_cancel(rows json, refused integer[], at timestamptz) returns json language sql as $$
  update queue q set cancel = true where q.run_id = any (array(
    select r.run from json_to_recordset(rows) as r(n integer, run uuid) where r.n <> all (refused)));
  select null::json;
$$;
`;

export const claimSql = String.raw`
create function run_stamp(at timestamptz) returns text language sql stable as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- rows: [{executor, slots, light}]: free slots for runs that weigh, and how many that weigh nothing may come along.
-- Answers {first, last, claimed: [{run, attempt, epoch, version, work, correlation, at}], more, fenced}; more: {heavy, light},
-- as many of the kind were looked at as were asked for, so others may be ready. A process is taken by a run that has begun and not ended: it runs, or waits for its retry.
create function queue_claim(rows json, refused integer[], call_at timestamptz) returns json language plpgsql as $$
declare
  asked record;
  lessor record;
  appended record;
  claimed json;
  more json;
  streams text[];
  types text[];
  kinds text[];
  datas text[];
  metas text[];
  ids uuid[];
  many integer;
  stamp text := run_stamp(call_at);
  whose text;
begin
  select r.executor, r.slots, r.light into asked from json_to_recordset(rows) as r(executor text, slots integer, light integer) limit 1;
  select l.server, l.until > call_at as holds into lessor from executor_lease l where l.executor = asked.executor;
  if lessor.holds is distinct from true then return json_build_object('fenced', true); end if;
  whose := concat('"executor":', to_json(asked.executor), ',"server":', to_json(lessor.server), ',"at":"', stamp, '"}');

  with busy as materialized (
    select o.process_id from queue o where o.attempt > 0 and o.process_id is not null
  ), candidates as materialized (
    (select q.* from queue q where not q.running and q.weight = 0 and q.ready_at <= call_at
      and (q.overlap not in ('queue', 'cancel-previous') or q.attempt > 0 or q.process_id is null
        or q.process_id not in (select b.process_id from busy b))
      order by q.priority desc, q.ready_at, q.run_id limit asked.light)
    union all
    (select q.* from queue q where not q.running and q.weight > 0 and q.ready_at <= call_at
      and (q.overlap not in ('queue', 'cancel-previous') or q.attempt > 0 or q.process_id is null
        or q.process_id not in (select b.process_id from busy b))
      order by q.priority desc, q.ready_at, q.run_id limit asked.slots)
  ), judged as materialized (
    select c.*, case when c.overlap <> 'allow' and c.attempt = 0 and c.process_id is not null then
        coalesce((select o.run_id from queue o where o.attempt > 0 and o.process_id = c.process_id limit 1),
          nullif(first_value(c.run_id) over (partition by c.process_id
            order by c.overlap <> 'allow' and c.attempt = 0, c.priority desc, c.ready_at, c.run_id), c.run_id))
      end as rival
    from candidates c
  ), taken as (
    update queue q set running = true, executor = asked.executor, epoch = nextval('epoch_number'),
      attempt = q.attempt + 1, version = q.version + 1
    -- An array, so that the rows are found by their key whatever number of candidates the planner expected.
    where q.run_id = any (array(select j.run_id from judged j where j.rival is null))
    returning q.run_id, q.attempt, q.epoch, q.version, q.work, q.correlation, q.priority, q.ready_at
  ), skipped as (
    delete from queue q where q.run_id = any (array(select j.run_id from judged j where j.rival is not null and j.overlap = 'skip'))
    returning q.run_id, q.correlation, q.priority, q.ready_at, (select j.rival from judged j where j.run_id = q.run_id) as rival
  ), events as (
    select 'run-' || t.run_id as stream, 'RunStarted' as type, t.correlation, t.priority, t.ready_at, t.run_id,
      concat('{"attempt":', t.attempt, ',"epoch":"', t.epoch, '",', whose) as data
    from taken t
    union all
    select 'run-' || s.run_id, 'RunSkipped', s.correlation, s.priority, s.ready_at, s.run_id,
      concat('{"reason":"the run before it, ', s.rival, ', had not ended","cause":"', s.rival, '","at":"', stamp, '"}')
    from skipped s
  ), ordered as (
    select e.*, concat('{"actor":"system","at":"', stamp, '","correlationId":', to_json(e.correlation), ',"causationId":null}') as meta
    from events e order by e.priority desc, e.ready_at, e.run_id
  )
  select array_agg(o.stream), array_agg(o.type), array_agg(o.data), array_agg(o.meta), array_agg(gen_random_uuid()),
    array_agg(distinct o.type),
    (select json_agg(json_build_object('run', t.run_id, 'attempt', t.attempt, 'epoch', t.epoch::text, 'version', t.version,
      'work', t.work, 'correlation', t.correlation, 'at', stamp) order by t.priority desc, t.ready_at, t.run_id) from taken t),
    (select json_build_object('light', count(*) filter (where c.weight = 0) >= greatest(asked.light, 1),
      'heavy', count(*) filter (where c.weight > 0) >= greatest(asked.slots, 1)) from candidates c)
  into streams, types, datas, metas, ids, kinds, claimed, more from ordered o;

  if streams is null then return null; end if;
  many := cardinality(streams);
  select a.first, a.last into appended from ledger_append(array(select generate_series(0, many - 1)), array_fill(0, array[many]),
    streams, array_fill(null::integer, array[many]), ids, types, array_fill(1::smallint, array[many]), datas, metas, null, call_at) a;
  return json_build_object('first', appended.first, 'last', appended.last, 'claimed', coalesce(claimed, '[]'),
    'types', kinds, 'more', more);
end $$;

-- Names the runs that a process with overlap "cancel-previous" waits for.
create function queue_superseded(at timestamptz) returns table (run_id uuid, rival uuid) language sql stable as $$
  select o.run_id, q.run_id from queue q join queue o on o.attempt > 0 and o.process_id = q.process_id and not o.cancel
  where not q.running and q.attempt = 0 and q.overlap = 'cancel-previous' and q.ready_at <= at
$$;

insert into ledger_hook values
  ('queue_add', 'queue_add', 20), ('queue_end', 'queue_end', 21), ('queue_retry', 'queue_retry', 22),
  ('queue_cancel', 'queue_cancel', 23), ('claim', 'queue_claim', 90);
`;

/** What a run printed: bytes in order, one row a chunk. Not events: a purge deletes them. */
export const outputSql = String.raw`
create table run_output (
  run_id uuid not null,
  attempt integer not null,
  seq integer not null,
  stream smallint not null,
  start bigint not null,
  at timestamptz not null,
  bytes bytea not null,
  marker boolean not null,
  primary key (run_id, attempt, seq)
);
`;
