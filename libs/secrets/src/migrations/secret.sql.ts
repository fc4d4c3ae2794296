/**
 * Secrets of definitions and runs, encrypted, and who holds them: a run or a process. One lives as long as anybody holds it;
 * what `secret_drop` takes away last is gone for good.
 */
export const secretSql = String.raw`
create table secret (
  id uuid primary key,
  key_id text not null,
  wrapped bytea not null,
  value bytea not null
);

create table secret_holder (
  holder uuid not null,
  secret uuid not null,
  primary key (holder, secret)
);
create index secret_holder_secret on secret_holder (secret);

-- rows: [{holder, id, keyId, wrapped, value}]: bytes as base64; left out where the secret is stored already and is only held once more.
create function secret_add(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into secret (id, key_id, wrapped, value)
  select r.id, r."keyId", decode(r.wrapped, 'base64'), decode(r.value, 'base64')
  from json_to_recordset(rows) as r(n integer, id uuid, "keyId" text, wrapped text, value text)
  where r.value is not null and r.n <> all (refused)
  on conflict do nothing;
  insert into secret_holder (holder, secret)
  select r.holder, r.id from json_to_recordset(rows) as r(n integer, holder uuid, id uuid) where r.n <> all (refused)
  on conflict do nothing;
  select null::json;
$$;

-- rows: [{run}] or [{process}]: it holds no secret any more, and those that nobody else holds are destroyed.
create function secret_drop(rows json, refused integer[], at timestamptz) returns json language plpgsql as $$
declare
  leaving uuid[];
  dropped uuid[];
begin
  select coalesce(array_agg(coalesce(r.run, r.process)), '{}') into leaving
  from json_to_recordset(rows) as r(n integer, run uuid, process uuid) where r.n <> all (refused);
  with gone as (delete from secret_holder h where h.holder = any (leaving) returning h.secret)
  select coalesce(array_agg(g.secret), '{}') into dropped from gone g;
  delete from secret s where s.id = any (dropped) and not exists (select from secret_holder h where h.secret = s.id);
  return null;
end $$;

insert into ledger_hook values ('secret_add', 'secret_add', 25), ('secret_drop', 'secret_drop', 26);
`;

export const secretMigrations: [name: string, sql: string][] = [['secrets-0001-secret', secretSql]];
