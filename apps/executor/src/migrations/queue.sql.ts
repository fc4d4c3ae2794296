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

create sequence run_epoch;

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

create function queue_end(rows json, refused integer[], at timestamptz) returns json language sql as $$
  delete from queue q using json_to_recordset(rows) as r(n integer, run uuid)
  where q.run_id = r.run and r.n <> all (refused);
  select null::json;
$$;

create function queue_retry(rows json, refused integer[], at timestamptz) returns json language sql as $$
  update queue q set running = false, executor = null, epoch = null, cancel = false, ready_at = r."dueAt", version = r.version
  from json_to_recordset(rows) as r(n integer, run uuid, "dueAt" timestamptz, version integer)
  where q.run_id = r.run and r.n <> all (refused);
  select null::json;
$$;

create function queue_cancel(rows json, refused integer[], at timestamptz) returns json language sql as $$
  update queue q set cancel = true from json_to_recordset(rows) as r(n integer, run uuid)
  where q.run_id = r.run and r.n <> all (refused);
  select null::json;
$$;
`;

export const claimSql = String.raw`
create function run_stamp(at timestamptz) returns text language sql stable as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- rows: [{executor, slots, light}]: free slots for runs that weigh, and how many that weigh nothing may come along.
-- Answers {first, last, claimed: [{run, attempt, epoch, version, work, correlation, at}], more, fenced}; more: as many were looked at as
-- were asked for, so others may be ready. A process is taken by a run that has begun and not ended: it runs, or waits for its retry.
create function queue_claim(rows json, refused integer[], call_at timestamptz) returns json language plpgsql
-- The plan is made when the table may still be empty, and kept: it must be the one for a long queue.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  asked record;
  lessor record;
  appended record;
  claimed json;
  batch json;
  more boolean;
begin
  select r.executor, r.slots, r.light into asked from json_to_recordset(rows) as r(executor text, slots integer, light integer) limit 1;
  select l.server, l.until > call_at as holds into lessor from executor_lease l where l.executor = asked.executor;
  if lessor.holds is distinct from true then return json_build_object('fenced', true); end if;

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
    update queue q set running = true, executor = asked.executor, epoch = nextval('run_epoch'),
      attempt = q.attempt + 1, version = q.version + 1
    -- An array, so that the rows are found by their key whatever number of candidates the planner expected.
    where q.run_id = any (array(select j.run_id from judged j where j.rival is null))
    returning q.run_id, q.attempt, q.epoch, q.version, q.work, q.correlation
  ), skipped as (
    delete from queue q where q.run_id = any (array(select j.run_id from judged j where j.rival is not null and j.overlap = 'skip'))
    returning q.run_id, q.correlation, (select j.rival from judged j where j.run_id = q.run_id) as rival
  ), events as (
    select 'run-' || t.run_id as stream, 'RunStarted' as type, t.correlation, json_build_object('attempt', t.attempt,
      'epoch', t.epoch::text, 'executor', asked.executor, 'server', lessor.server, 'at', run_stamp(call_at)) as data
    from taken t
    union all
    select 'run-' || s.run_id, 'RunSkipped', s.correlation, json_build_object('reason',
      'the run before it, ' || s.rival || ', had not ended', 'cause', s.rival, 'at', run_stamp(call_at))
    from skipped s
  )
  select
    (select json_agg(json_build_object('n', e.n, 'i', 0, 'stream', e.stream, 'expected', null, 'id', gen_random_uuid(),
      'type', e.type, 'schema', 1, 'data', e.data, 'meta', json_build_object('actor', 'system', 'at', run_stamp(call_at),
      'correlationId', e.correlation, 'causationId', null)))
      from (select row_number() over () as n, v.* from events v) e),
    (select json_agg(json_build_object('run', t.run_id, 'attempt', t.attempt, 'epoch', t.epoch::text, 'version', t.version,
      'work', t.work, 'correlation', t.correlation, 'at', run_stamp(call_at))) from taken t),
    (select count(*) filter (where c.weight = 0) >= greatest(asked.light, 1)
      or count(*) filter (where c.weight > 0) >= greatest(asked.slots, 1) from candidates c)
  into batch, claimed, more;

  if batch is null then return null; end if;
  select * into appended from ledger_append(batch, '[]', call_at);
  return json_build_object('first', appended.first, 'last', appended.last, 'claimed', coalesce(claimed, '[]'),
    'types', (select json_agg(distinct e ->> 'type') from json_array_elements(batch) e), 'more', more);
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
