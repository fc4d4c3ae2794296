/**
 * Output given by a person in place of what was printed, as attempt 0, and the purge of output: the mark in the commit of
 * `RunPurged`, the bytes after it, because the ledger's lock is not held for megabytes.
 */
export const purgeSql = String.raw`
create table run_purge (
  run_id uuid primary key,
  at timestamptz not null,
  erased boolean not null default false
);
create index run_purge_unfinished on run_purge (at) where not erased;

create function output_purge(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into run_purge (run_id, at)
  select r.run, output_purge.at from json_to_recordset(rows) as r(n integer, run uuid) where r.n <> all (refused)
  on conflict do nothing;
  select null::json;
$$;

-- Pieces of 64 KiB, as printed output has them; one at least, so that nothing can be given too.
create function output_give(rows json, refused integer[], at timestamptz) returns json language sql as $$
  delete from run_output o using json_to_recordset(rows) as r(n integer, run uuid, stream smallint)
  where o.run_id = r.run and o.attempt = 0 and o.stream = r.stream and r.n <> all (refused);
  insert into run_output (run_id, attempt, seq, stream, start, at, bytes, marker)
  select g.run, 0, g.stream * 1000000 + p.start / 65536 + 1, g.stream, p.start, output_give.at,
    substring(g.bytes from p.start + 1 for 65536), false
  from (
    select r.run, r.stream, convert_to(r.text, 'UTF8') as bytes
    from json_to_recordset(rows) as r(n integer, run uuid, stream smallint, text text) where r.n <> all (refused)
  ) g, generate_series(0, greatest(octet_length(g.bytes) - 1, 0), 65536) as p(start);
  select null::json;
$$;

-- What is late finds the mark: each statement here looks anew, when it has the lock, and whoever erases has waited for all
-- that may have looked before the mark.
create function output_add(
  runs uuid[], attempts integer[], seqs integer[], streams smallint[], starts bigint[], ats timestamptz[], markers boolean[],
  bytes bytea, firsts integer[], sizes integer[]
) returns void language plpgsql as $$
declare
  purged uuid[];
begin
  perform pg_advisory_xact_lock_shared(7265003);
  purged := array(select p.run_id from run_purge p where p.run_id = any (runs));
  insert into run_output (run_id, attempt, seq, stream, start, at, bytes, marker)
  select r.run, r.attempt, r.seq, r.stream, r.start, r.at, substring(output_add.bytes from r.first for r.size), r.marker
  from unnest(runs, attempts, seqs, streams, starts, ats, markers, firsts, sizes)
    as r(run, attempt, seq, stream, start, at, marker, first, size)
  where r.run <> all (purged)
  on conflict do nothing;
end $$;

insert into ledger_hook values ('output_give', 'output_give', 24), ('output_purge', 'output_purge', 25);
`;
