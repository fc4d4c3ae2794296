/**
 * Whoever is told of events by the scheduler: webhooks, and the channels of notifications. A subscription's `position` says up
 * to where everything is settled; `attempts` and `since` belong to the one event after it that is being tried.
 */
export const subscriptionSql = String.raw`
create table subscription (
  id uuid primary key,
  position bigint not null,
  -- counts the replays: who tells what was to be told before one has no say after it.
  round integer not null default 0,
  attempts integer not null default 0,
  since timestamptz
);

create table webhook (
  id uuid primary key references subscription on delete cascade,
  owner text not null,
  url text not null,
  types text[] not null,
  processes text[] not null,
  secret uuid not null,
  created_at timestamptz not null,
  disabled text
);
create index webhook_of_owner on webhook (owner);

create table delivery (
  seq bigint generated always as identity primary key,
  subscription uuid not null references subscription on delete cascade,
  id uuid not null unique,
  position bigint not null,
  event uuid not null,
  status text not null,
  attempts integer not null,
  at timestamptz not null,
  answer text not null
);
create index delivery_of_subscription on delivery (subscription, seq);

-- rows: [{webhook, created: {owner, url, types, processes, secret, at}}], [{webhook, from}], [{webhook, disabled}] or [{webhook, deleted}]:
-- what its new event means. A new one is told of what comes after it.
create function webhook_set(rows json, refused integer[], at timestamptz) returns json language plpgsql as $$
declare
  ended uuid[];
begin
  insert into subscription (id, position)
  select r.webhook, coalesce((select b.last from block b order by b.first desc limit 1), 0)
  from json_to_recordset(rows) as r(n integer, webhook uuid, created json)
  where r.created is not null and r.n <> all (refused);
  insert into webhook (id, owner, url, types, processes, secret, created_at)
  select r.webhook, c.owner, c.url, c.types, c.processes, c.secret, c.at
  from json_to_recordset(rows) as r(n integer, webhook uuid, created json),
    json_to_record(r.created) as c(owner text, url text, types text[], processes text[], secret uuid, at timestamptz)
  where r.created is not null and r.n <> all (refused);

  with replayed as (
    update subscription s set position = least(s.position, greatest(r."from" - 1, 0)), round = s.round + 1, attempts = 0, since = null
    from json_to_recordset(rows) as r(n integer, webhook uuid, "from" bigint)
    where s.id = r.webhook and r."from" is not null and r.n <> all (refused)
    returning s.id
  )
  update webhook w set disabled = null from replayed where w.id = replayed.id;
  update webhook w set disabled = r.disabled
  from json_to_recordset(rows) as r(n integer, webhook uuid, disabled text)
  where w.id = r.webhook and r.disabled is not null and r.n <> all (refused);

  select coalesce(array_agg(r.webhook), '{}') into ended
  from json_to_recordset(rows) as r(n integer, webhook uuid, created json) where r.created is null and r.n <> all (refused);
  update delivery d set status = 'failed' where d.subscription = any (ended) and d.status = 'pending';
  delete from subscription s using json_to_recordset(rows) as r(n integer, webhook uuid, deleted boolean)
  where s.id = r.webhook and r.deleted and r.n <> all (refused);
  return null;
end $$;

insert into ledger_hook values ('webhook_set', 'webhook_set', 35);
`;

export const subscriptionMigrations: [name: string, sql: string][] = [['scheduler-0101-subscription', subscriptionSql]];
