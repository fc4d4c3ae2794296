export const claimSql = String.raw`
create function run_stamp(at timestamptz) returns text language sql stable as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

create function claim_meta(stamp text, correlation text) returns text language sql stable as $$
  select concat('{"actor":"system","at":"', stamp, '","correlationId":', to_json(correlation), ',"causationId":null}')
$$;

-- rows: [{executor, slots, light}]: free slots for runs that weigh, and how many that weigh nothing may come along.
-- Answers {first, last, claimed: [{run, attempt, epoch, version, work, correlation, at}], more, capped, wait, fenced}. more: {heavy, light},
-- others of the kind may be ready; capped: an owner's limit left less room than there are slots; wait: milliseconds until the next falls due.
-- A process is taken by a run that has begun and not ended: it runs, or waits for its retry. A line is read past no row but those that
-- wait for their process; an owner without room is not read at all. Lines are found by skipping from one to the next (loose index scan).
create function queue_claim(rows json, refused integer[], call_at timestamptz) returns json language plpgsql as $$
declare
  asked record;
  lessor record;
  appended record;
  claimed json;
  more json;
  capped boolean;
  -- Those that are looked at, in their order, and of them: those to be taken, those to be skipped and for which others.
  chosen uuid[];
  passed uuid[];
  rivals uuid[];
  contested boolean;
  soonest timestamptz;
  wait integer;
  streams text[];
  types text[];
  datas text[];
  metas text[];
  ids uuid[];
  many integer;
  stamp text := run_stamp(call_at);
  whose text;
begin
  select r.executor, r.slots, r.light into asked from json_to_recordset(rows) as r(executor text, slots integer, light integer) limit 1;
  select l.server, l.queues, l.until > call_at as holds into lessor from executor_lease l where l.executor = asked.executor;
  if lessor.holds is distinct from true then return json_build_object('fenced', true); end if;
  whose := concat('"executor":', to_json(asked.executor), ',"server":', to_json(lessor.server), ',"at":"', stamp, '"}');

  select q.ready_at into soonest from queue q where q.deferred order by q.ready_at limit 1;
  if soonest <= call_at then
    update queue q set deferred = false where q.run_id = any (array(
      select d.run_id from queue d where d.deferred and d.ready_at <= call_at order by d.ready_at limit 2000));
    select q.ready_at into soonest from queue q where q.deferred order by q.ready_at limit 1;
  end if;

  with recursive lines as (
    (select q.weight, q.queue, q.owner from queue q where not q.running and not q.deferred
      order by q.weight, q.queue, q.owner limit 1)
    union all
    select n.weight, n.queue, n.owner from lines l cross join lateral (
      select q.weight, q.queue, q.owner from queue q where not q.running and not q.deferred
        and (q.weight, q.queue, q.owner) > (l.weight, l.queue, l.owner)
      order by q.weight, q.queue, q.owner limit 1) n
  ), going as materialized (
    select q.owner, count(*)::integer as runs from queue q where q.running and q.weight > 0 group by q.owner
  ), rooms as materialized (
    select l.weight, l.queue, l.owner, case when l.weight = 0 then asked.light else least(asked.slots, free.runs) end as room,
      l.weight > 0 and free.runs < asked.slots as capped
    from lines l left join going g on g.owner = l.owner
    cross join lateral (select coalesce((select o.most from run_limit o where o.owner = l.owner),
      (select o.most from run_limit o where o.owner = '')) - coalesce(g.runs, 0) as runs) free
    where lessor.queues is null or l.queue = any (lessor.queues)
  ), busy as materialized (
    select o.process_id from queue o where o.attempt > 0 and o.process_id is not null
  ), candidates as materialized (
    select f.* from (
      select h.*, row_number() over (partition by h.weight > 0 order by h.rank, h.run_id) as nth
      from (
        select q.*, r.room, row_number() over (partition by q.weight > 0, q.owner order by q.rank, q.run_id) as of_owner
        from rooms r cross join lateral (
          select q.run_id, q.process_id, q.owner, q.overlap, q.attempt, q.weight, q.rank from queue q
          where not q.running and not q.deferred and q.weight = r.weight and q.queue = r.queue and q.owner = r.owner
            and (q.overlap not in ('queue', 'cancel-previous') or q.attempt > 0 or q.process_id is null
              or q.process_id not in (select b.process_id from busy b))
          order by q.rank, q.run_id limit greatest(r.room, 0)) q) h
      where h.of_owner <= h.room) f
    where f.nth <= case when f.weight > 0 then asked.slots else asked.light end
  )
  select array_agg(c.run_id order by c.rank, c.run_id), coalesce(bool_or(c.overlap <> 'allow' and c.attempt = 0 and c.process_id is not null), false),
    json_build_object('light', count(*) filter (where c.weight = 0) >= greatest(asked.light, 1),
      'heavy', count(*) filter (where c.weight > 0) >= greatest(asked.slots, 1)),
    coalesce((select bool_or(r.capped) from rooms r), false)
  into chosen, contested, more, capped from candidates c;

  -- Further off than an integer counts is far off.
  if soonest is not null then wait := least(ceil(extract(epoch from soonest - call_at) * 1000), 2147483647); end if;
  if chosen is null then return json_build_object('more', more, 'capped', capped, 'wait', wait); end if;

  if contested then
    with judged as (
      select c.*, case when c.overlap <> 'allow' and c.attempt = 0 and c.process_id is not null then
          coalesce((select o.run_id from queue o where o.attempt > 0 and o.process_id = c.process_id limit 1),
            nullif(first_value(c.run_id) over (partition by c.process_id
              order by c.overlap <> 'allow' and c.attempt = 0, c.rank, c.run_id), c.run_id))
        end as rival
      from queue c where c.run_id = any (chosen)
    )
    select array_agg(j.run_id) filter (where j.rival is null),
      array_agg(j.run_id order by j.rank, j.run_id) filter (where j.rival is not null and j.overlap = 'skip'),
      array_agg(j.rival order by j.rank, j.run_id) filter (where j.rival is not null and j.overlap = 'skip'),
      -- One that gave way may have stood before another of its owner.
      case when coalesce(bool_or(j.weight > 0 and j.rival is not null and j.overlap = 'skip'), false)
        then json_build_object('light', more -> 'light', 'heavy', true) else more end
    into chosen, passed, rivals, more from judged j;
  end if;

  with taken as (
    update queue q set running = true, executor = asked.executor, epoch = nextval('epoch_number'),
      attempt = q.attempt + 1, version = q.version + 1
    where q.run_id = any (chosen)
    returning q.run_id, q.attempt, q.epoch, q.version, q.work, q.correlation, q.rank
  )
  select array_agg('run-' || t.run_id order by t.rank, t.run_id), array_agg('RunStarted'::text),
    array_agg(concat('{"attempt":', t.attempt, ',"epoch":"', t.epoch, '",', whose) order by t.rank, t.run_id),
    array_agg(claim_meta(stamp, t.correlation) order by t.rank, t.run_id),
    json_agg(json_build_object('run', t.run_id, 'attempt', t.attempt, 'epoch', t.epoch::text, 'version', t.version,
      'work', t.work, 'correlation', t.correlation, 'at', stamp) order by t.rank, t.run_id)
  into streams, types, datas, metas, claimed from taken t;

  if passed is not null then
    with skipped as (
      delete from queue q where q.run_id = any (passed) returning q.run_id, q.correlation
    )
    select streams || array_agg('run-' || s.run_id order by p.place), types || array_agg('RunSkipped'::text),
      datas || array_agg(concat('{"reason":"the run before it, ', p.rival, ', had not ended","cause":"', p.rival, '","at":"', stamp, '"}') order by p.place),
      metas || array_agg(claim_meta(stamp, s.correlation) order by p.place)
    into streams, types, datas, metas
    from unnest(passed, rivals) with ordinality p(run_id, rival, place) join skipped s on s.run_id = p.run_id;
  end if;

  if streams is null then return json_build_object('more', more, 'capped', capped, 'wait', wait); end if;
  many := cardinality(streams);
  select array_agg(gen_random_uuid()) into ids from generate_series(1, many);
  select a.first, a.last into appended from ledger_append(array(select generate_series(0, many - 1)), array_fill(0, array[many]),
    streams, array_fill(null::integer, array[many]), ids, types, array_fill(1::smallint, array[many]), datas, metas, null, call_at) a;
  return json_build_object('first', appended.first, 'last', appended.last, 'claimed', coalesce(claimed, '[]'),
    'types', array(select distinct unnest(types)), 'more', more, 'capped', capped, 'wait', wait);
end $$;

-- Names the runs that a process with overlap "cancel-previous" waits for.
create function queue_superseded(at timestamptz) returns table (run_id uuid, rival uuid) language sql stable as $$
  select o.run_id, q.run_id from queue q join queue o on o.attempt > 0 and o.process_id = q.process_id and not o.cancel
  where not q.running and q.attempt = 0 and q.overlap = 'cancel-previous' and q.ready_at <= at
$$;

insert into ledger_hook values
  ('queue_add', 'queue_add', 20), ('queue_end', 'queue_end', 21), ('queue_retry', 'queue_retry', 22),
  ('queue_cancel', 'queue_cancel', 23), ('limit_set', 'limit_set', 24), ('claim', 'queue_claim', 90);
`;
