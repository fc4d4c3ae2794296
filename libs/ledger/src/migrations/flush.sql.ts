/**
 * The one door. `ledger_append` judges each append under the ledger's lock and inserts what is valid; `ledger_flush`
 * takes the lock, appends, and calls the registered functions whose rows came along, in their order.
 */
export const flushSql = String.raw`
create table ledger_hook (
  name text primary key,
  function text not null,
  ordinal integer not null
);

-- The call of each hook whose rows came along, in their order, written out anew whenever a hook is registered: a dynamic
-- call is parsed and planned each time. Answers the text of a JSON object {"<hook>": <its answer>}, without braces; hooks that say null are left out.
create function ledger_hooks_changed() returns trigger language plpgsql as $$
begin
  execute format($text$
    create or replace function ledger_call(names text[], rows text[], refused integer[], at timestamptz) returns text language plpgsql as $body$
    declare
      i integer;
      answer text;
      said text;
    begin
      %s
      if names <@ %L::text[] then return said; end if;
      raise exception 'there is no ledger hook %%', array_to_string(array(select unnest(names) except select unnest(%2$L::text[])), ', ');
    end $body$ $text$,
    string_agg(format('i := array_position(names, %L);
      if i is not null then
        answer := %I(rows[i]::json, refused, at);
        if answer is not null then said := concat_ws(%L, said, %L || answer); end if;
      end if;
      ', h.name, h.function, ',', to_json(h.name) || ':'), '' order by h.ordinal, h.name), array_agg(h.name))
  from ledger_hook h;
  return null;
end $$;
create trigger ledger_hook_changed after insert or update or delete on ledger_hook
  for each statement execute function ledger_hooks_changed();

-- One element an event: append ns (0, 1, 2 ... without gaps), its event indexes (from 0), and so on; expected null means "whatever it is".
-- One append a stream. requires: [{n, stream, version}]: append n holds only while that other stream is at that version.
-- refused: [[n, 'duplicate' | 'conflict' | 'stale', position, version]]; the rest got first, first + 1 ... in the order given.
-- based: [[n, version]], what the streams of unconditional appends stood at. no: the ns that were refused. head: the last position before it.
create function ledger_append(
  ns integer[], indexes integer[], streams text[], expected integer[], ids uuid[], types text[], schemas smallint[],
  datas text[], metas text[], requires json, at timestamptz,
  out head bigint, out first bigint, out last bigint, out refused json, out based json, out no integer[]
) language plpgsql as $$
declare
  before bytea;
  broken integer[] := '{}';
  versions integer[];
  verdicts integer[];
  recorded numeric := extract(epoch from at);
begin
  select b.last, b.hash into head, before from block b order by b.first desc limit 1;
  head := coalesce(head, 0);
  if cardinality(ns) = 0 then return; end if;
  before := coalesce(before, ''::bytea);
  if requires is not null then
    select coalesce(array_agg(r.n), '{}') into broken
    from json_to_recordset(requires) as r(n integer, stream text, version integer)
    where r.version <> coalesce((select max(e.version) from event e where e.stream = r.stream collate "C"), 0);
  end if;

  with judged as materialized (
    select a.n, a.expected, coalesce(now.version, 0) as version, again.position,
      case
        when again.position is not null then 1
        when coalesce(now.version, 0) <> coalesce(a.expected, now.version, 0) then 2
        when a.n = any (broken) then 3
        else 0
      end as verdict
    from (
      select unnest(ns) as n, unnest(indexes) as i, unnest(streams) as stream, unnest(expected) as expected, unnest(ids) as id
    ) a
    left join lateral (
      select e.version from event e where e.stream = a.stream collate "C" order by e.version desc limit 1
    ) now on true
    left join lateral (
      select e.position from event e
      where now.version > 0 and e.stream = a.stream collate "C" and e.version <= 50 and e.id = a.id
      union all
      select e.position from event e
      where now.version > 50 and e.stream = a.stream collate "C" and e.version > 50 and e.id = a.id
      limit 1
    ) again on true
    where a.i = 0
  )
  select array_agg(j.version order by j.n), array_agg(j.verdict order by j.n), array_agg(j.n) filter (where j.verdict > 0),
    json_agg(json_build_array(j.n, (array['duplicate', 'conflict', 'stale'])[j.verdict], j.position, j.version))
      filter (where j.verdict > 0),
    json_agg(json_build_array(j.n, j.version)) filter (where j.verdict = 0 and j.expected is null)
  into versions, verdicts, no, refused, based from judged j;

  if no is not null then
    select coalesce(array_agg(a.n order by a.place), '{}'), array_agg(a.i order by a.place), array_agg(a.stream order by a.place),
      array_agg(a.id order by a.place), array_agg(a.type order by a.place), array_agg(a.schema order by a.place),
      array_agg(a.data order by a.place), array_agg(a.meta order by a.place)
    into ns, indexes, streams, ids, types, schemas, datas, metas
    from unnest(ns, indexes, streams, ids, types, schemas, datas, metas) with ordinality
      as a(n, i, stream, id, type, schema, data, meta, place)
    where verdicts[a.n + 1] = 0;
    if cardinality(ns) = 0 then return; end if;
  end if;

  -- Lists side by side in a select go row by row; as a table each would be copied first.
  with numbered as (
    select head + a.place as position, a.id, a.stream, versions[a.n + 1] + a.i + 1 as version, a.type, a.schema, a.data, a.meta
    from (
      select generate_series(1, cardinality(ns)) as place, unnest(ns) as n, unnest(indexes) as i, unnest(streams) as stream,
        unnest(ids) as id, unnest(types) as type, unnest(schemas) as schema, unnest(datas) as data, unnest(metas) as meta
    ) a
  ), inserted as (
    insert into event (position, id, stream, version, type, schema, data, meta, digest, recorded_at)
    select v.position, v.id, v.stream, v.version, v.type, v.schema, v.data::json, v.meta::json,
      event_digest(v.position, v.id, v.stream, v.version, v.type, v.schema, v.data, v.meta, recorded), at
    from numbered v
    returning event.position, event.digest
  ), chained as (
    insert into block (first, last, previous, hash)
    select min(p.position), max(p.position), before, sha256(before || string_agg(p.digest, ''::bytea order by p.position))
    from inserted p
    returning block.first, block.last
  )
  select c.first, c.last into ledger_append.first, ledger_append.last from chained c;
end $$;

-- For a hook that appends by itself: [{stream, expected, id, type, schema, data, meta}], each an append of one event.
create function ledger_append(batch json, requires json, at timestamptz, out first bigint, out last bigint, out refused json)
language sql as $$
  select a.first, a.last, a.refused from (
    select array_agg(x.n::integer - 1) as ns, array_agg(0) as indexes, array_agg(x.stream) as streams, array_agg(x.expected) as expected,
      array_agg(x.id) as ids, array_agg(x.type) as types, array_agg(x.schema) as schemas, array_agg(x.data) as datas,
      array_agg(x.meta) as metas
    from rows from (json_to_recordset(batch) as (stream text, expected integer, id uuid, type text, schema smallint, data text, meta text))
      with ordinality as x(stream, expected, id, type, schema, data, meta, n)
  ) b, ledger_append(b.ns, b.indexes, b.streams, b.expected, b.ids, b.types, b.schemas, b.datas, b.metas, requires, at) a
$$;

-- The columns as above, made before the lock is taken.
-- hooks and rows: names, and for each a JSON array; a hook is a function (rows json, refused integer[], at timestamptz) returns json
-- and must leave out rows whose n was refused. Answers {first, last, base, refused, based, hooks: {"<hook>": <its answer>}}:
-- first and last of all that the flush appended, hooks included; base: first of the batch itself.
create function ledger_flush(
  ns integer[], indexes integer[], streams text[], expected integer[], ids uuid[], types text[], schemas smallint[],
  datas text[], metas text[], requires json, hooks text[], rows text[]
) returns json language plpgsql
-- For all that is called below, hooks too: plans are made when the tables may still be small, and kept; they must be the ones for big tables.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
  at timestamptz;
  reached bigint;
  appended record;
  said text;
begin
  perform pg_advisory_xact_lock(7265001);
  at := clock_timestamp();
  -- Assigned, not selected: then a call has no executor of its own to start and end.
  appended := ledger_append(ns, indexes, streams, expected, ids, types, schemas, datas, metas, requires, at);
  reached := coalesce(appended.last, appended.head);
  if hooks is not null then
    said := ledger_call(hooks, rows, coalesce(appended.no, '{}'), at);
    reached := coalesce((select b.last from block b order by b.first desc limit 1), 0);
  end if;
  return json_build_object('first', case when reached > appended.head then appended.head + 1 end,
    'last', case when reached > appended.head then reached end,
    'base', appended.first, 'refused', appended.refused, 'based', appended.based, 'hooks', ('{' || said || '}')::json);
end $$;

create table idempotency_key (
  actor text not null,
  key text not null,
  hash text not null,
  stream text not null,
  command text not null,
  created_at timestamptz not null,
  primary key (actor, key)
);

-- A key that is taken raises: of two orders with one key only one may be carried out, whatever streams they name.
create function ledger_keep_keys(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into idempotency_key (actor, key, hash, stream, command, created_at)
  select r.actor, r.key, r.hash, r.stream, r.command, at
  from json_to_recordset(rows) as r(n integer, actor text, key text, hash text, stream text, command text)
  where r.n <> all (refused);
  select null::json;
$$;
insert into ledger_hook values ('idempotency', 'ledger_keep_keys', 10);

-- epoch counts the rebuilds: who applied to a table that was since exchanged must look anew.
create table checkpoint (
  name text primary key,
  position bigint not null,
  epoch integer not null default 0
);

create table parked (
  name text not null,
  stream text not null,
  position bigint not null,
  error text not null,
  parked_at timestamptz not null default clock_timestamp(),
  primary key (name, stream)
);

create sequence process_number increment 10;
create sequence run_number increment 100;
create sequence epoch_number increment 1000;
create sequence user_number increment 10;
`;
