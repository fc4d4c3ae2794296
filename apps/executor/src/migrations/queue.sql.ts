/**
 * The queue and its claim. Rows are filled by a run's birth, taken by the claim inside the ledger's flush, and leave with
 * the run's end. Everything here happens under the ledger's lock, so caps and overlap rules hold on any number of executors.
 */
export const queueSql = String.raw`
create table executor_lease (
  executor text primary key,
  server text not null,
  -- The names of queues that it serves; null: every one.
  queues text[],
  until timestamptz not null
);

-- How many runs that weigh an owner may have going at once; of the owner '' is what holds for those without a row.
create table run_limit (
  owner text primary key,
  most integer not null check (most > 0)
);
insert into run_limit values ('', 100);

create table queue (
  run_id uuid primary key,
  process_id uuid,
  batch uuid,
  owner text not null,
  queue text not null default 'default',
  priority smallint not null,
  ready_at timestamptz not null,
  -- The order of the claim: each step of priority is worth a minute of waiting, so that nothing starves.
  rank timestamptz not null,
  -- Not due when it came; the first claim after it has fallen due lets it in.
  deferred boolean not null default false,
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
-- A line for each kind of place, name and owner, in the order of the claim: it reads as many rows as it takes, however many wait.
create index queue_line on queue (weight, queue, owner, rank, run_id) where not running and not deferred;
create index queue_deferred on queue (ready_at) where deferred;
create index queue_running on queue (executor) where running;
create index queue_process on queue (process_id) where attempt > 0 and process_id is not null;
create index queue_batch on queue (batch) where batch is not null;
create index queue_superseding on queue (process_id) where not running and overlap = 'cancel-previous';

create function queue_rank(ready_at timestamptz, priority integer) returns timestamptz language sql stable as $$
  select ready_at - priority * interval '1 minute'
$$;

create function queue_add(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into queue (run_id, process_id, batch, owner, queue, priority, ready_at, rank, deferred, overlap, weight, correlation, work)
  select r.run, r.process, r.batch, r.owner, coalesce(r.queue, 'default'), r.priority, coalesce(r."readyAt", at),
    queue_rank(coalesce(r."readyAt", at), r.priority) + coalesce(r.place, 0) * interval '1 microsecond', coalesce(r."readyAt" > at, false), r.overlap, r.weight, r.correlation, r.work
  from json_to_recordset(rows) as r(n integer, run uuid, process uuid, batch uuid, place integer, owner text, queue text, priority smallint,
    "readyAt" timestamptz, overlap text, weight smallint, correlation text, work json)
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
  update queue q set running = false, executor = null, epoch = null, cancel = false, ready_at = r."dueAt",
    rank = queue_rank(r."dueAt", q.priority), deferred = r."dueAt" > at, version = r.version
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

-- rows: [{owner, most}]: an owner's limit ('' for the common one), or none of his own with null.
create function limit_set(rows json, refused integer[], at timestamptz) returns json language sql as $$
  delete from run_limit l using json_to_recordset(rows) as r(n integer, owner text, most integer)
  where l.owner = r.owner and r.most is null and r.n <> all (refused);
  insert into run_limit (owner, most)
  select r.owner, r.most from json_to_recordset(rows) as r(n integer, owner text, most integer)
  where r.most is not null and r.n <> all (refused)
  on conflict (owner) do update set most = excluded.most;
  select null::json;
$$;
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
