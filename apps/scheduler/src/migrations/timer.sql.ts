/**
 * What is to happen to a process at an instant: a trigger's next fire, or the end of a pause. Rows are set in the flush of
 * the process's own event; `watermark` says up to where every due instant has been decided.
 */
export const timerSql = String.raw`
create table timer (
  process_id uuid not null,
  ordinal integer not null,
  version integer not null,
  expression text,
  zone text,
  watermark timestamptz not null,
  next_at timestamptz,
  definition json not null,
  primary key (process_id, ordinal)
);
create index timer_due on timer (next_at) where next_at is not null;

-- rows: [{process, version, definition, timers: [{ordinal, expression, zone, watermark, nextAt}]}]: the whole truth about a process.
create function timer_set(rows json, refused integer[], at timestamptz) returns json language sql as $$
  delete from timer t using json_to_recordset(rows) as r(n integer, process uuid)
  where t.process_id = r.process and r.n <> all (refused);
  insert into timer (process_id, ordinal, version, expression, zone, watermark, next_at, definition)
  select r.process, x.ordinal, r.version, x.expression, x.zone, x.watermark, x."nextAt", r.definition
  from json_to_recordset(rows) as r(n integer, process uuid, version integer, definition json, timers json),
    json_to_recordset(r.timers) as x(ordinal integer, expression text, zone text, watermark timestamptz, "nextAt" timestamptz)
  where r.n <> all (refused);
  select null::json;
$$;

-- rows: [{process, ordinal, version, watermark, nextAt}]: moves a watermark forward, never back, and only for the definition it was computed from.
create function timer_advance(rows json, refused integer[], at timestamptz) returns json language sql as $$
  update timer t set watermark = r.watermark, next_at = r."nextAt"
  from json_to_recordset(rows) as r(n integer, process uuid, ordinal integer, version integer, watermark timestamptz, "nextAt" timestamptz)
  where t.process_id = r.process and t.ordinal = r.ordinal and t.version = r.version and t.watermark < r.watermark
    and r.n <> all (refused);
  select null::json;
$$;

insert into ledger_hook values ('timer_set', 'timer_set', 30), ('timer_advance', 'timer_advance', 31);
`;

const triggerSql = String.raw`
alter table timer add column trigger json;
update timer set trigger = json_build_object('cron', expression, 'zone', zone) where expression is not null;
alter table timer drop column expression, drop column zone;

-- rows: [{process, version, definition, timers: [{ordinal, trigger, watermark, nextAt}]}]: the whole truth about a process.
create or replace function timer_set(rows json, refused integer[], at timestamptz) returns json language sql as $$
  delete from timer t using json_to_recordset(rows) as r(n integer, process uuid)
  where t.process_id = r.process and r.n <> all (refused);
  insert into timer (process_id, ordinal, version, trigger, watermark, next_at, definition)
  select r.process, x.ordinal, r.version, x.trigger, x.watermark, x."nextAt", r.definition
  from json_to_recordset(rows) as r(n integer, process uuid, version integer, definition json, timers json),
    json_to_recordset(r.timers) as x(ordinal integer, trigger json, watermark timestamptz, "nextAt" timestamptz)
  where r.n <> all (refused);
  select null::json;
$$;
`;

const advanceSql = String.raw`
-- rows: [{process, ordinal, version, watermark, nextAt}]: moves a watermark forward, never back, and only for the definition it was
-- computed from. One that stays where it is may have another next instant: when what is told later was put off once more.
create or replace function timer_advance(rows json, refused integer[], at timestamptz) returns json language sql as $$
  update timer t set watermark = r.watermark, next_at = r."nextAt"
  from json_to_recordset(rows) as r(n integer, process uuid, ordinal integer, version integer, watermark timestamptz, "nextAt" timestamptz)
  where t.process_id = r.process and t.ordinal = r.ordinal and t.version = r.version and t.watermark <= r.watermark
    and r.n <> all (refused);
  select null::json;
$$;
`;

export const schedulerMigrations: [name: string, sql: string][] = [
  ['scheduler-0001-timer', timerSql],
  ['scheduler-0002-trigger', triggerSql],
  ['scheduler-0003-advance', advanceSql],
];
