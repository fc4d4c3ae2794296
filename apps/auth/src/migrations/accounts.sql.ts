import { rateSql } from './rate.sql.js';

/** Rows of the auth service: what a user's events refer to and must not hold. */
export const accountsSql = String.raw`
create table account (
  id uuid primary key,
  number integer not null unique,
  username text not null,
  email text not null,
  role text not null,
  active boolean not null default true,
  password_hash text not null,
  -- Null: as many as anybody's. The executors' own row of it is set in the same commit.
  max_concurrent_runs integer,
  created_at timestamptz not null
);

-- Names and e-mails share one space and are unique without case.
create table user_handle (
  handle text primary key,
  user_id uuid not null references account on delete cascade
);

create table session (
  id uuid primary key,
  user_id uuid not null references account on delete cascade,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz
);
create index session_by_user on session (user_id) where ended_at is null;

create table signing_key (
  kid text primary key,
  private_pem text not null,
  public_pem text not null,
  created_at timestamptz not null default clock_timestamp()
);

create function account_add(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into account (id, number, username, email, role, password_hash, max_concurrent_runs, created_at)
  select r.id, r.number, r.username, r.email, r.role, r.hash, r.most, r."createdAt"
  from json_to_recordset(rows) as r(n integer, id uuid, number integer, username text, email text, role text, hash text, most integer,
    "createdAt" timestamptz)
  where r.n <> all (refused);
  insert into user_handle (handle, user_id)
  select distinct lower(h.handle), r.id
  from json_to_recordset(rows) as r(n integer, id uuid, username text, email text), unnest(array[r.username, r.email]) as h(handle)
  where r.n <> all (refused);
  select null::json;
$$;

-- rows: [{id, role, active, hash, limited, most, keep}], null for what stays; limited: most is the new limit, or null for none. A new password and a deactivation end every session but the kept one.
-- Somebody has to be left who may manage users: under the ledger's lock, so that two admins cannot deactivate each other.
create function account_change(rows json, refused integer[], at timestamptz) returns json language plpgsql as $$
begin
  update account a set role = coalesce(r.role, a.role), active = coalesce(r.active, a.active),
    password_hash = coalesce(r.hash, a.password_hash),
    max_concurrent_runs = case when r.limited then r.most else a.max_concurrent_runs end
  from json_to_recordset(rows) as r(n integer, id uuid, role text, active boolean, hash text, limited boolean, most integer)
  where a.id = r.id and r.n <> all (refused);
  update session s set ended_at = at
  from json_to_recordset(rows) as r(n integer, id uuid, active boolean, hash text, keep uuid)
  where s.user_id = r.id and s.id is distinct from r.keep and s.ended_at is null and r.n <> all (refused)
    and (r.hash is not null or not r.active);
  if not exists (select from account a where a.role = 'admin' and a.active) then
    raise exception 'the last admin' using errcode = 'P0ADM';
  end if;
  return null;
end $$;

create function session_open(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into session (id, user_id, created_at, expires_at)
  select r.id, r."user", at, r."expiresAt"
  from json_to_recordset(rows) as r(n integer, id uuid, "user" uuid, "expiresAt" timestamptz) where r.n <> all (refused);
  select null::json;
$$;

create function session_end(rows json, refused integer[], at timestamptz) returns json language sql as $$
  update session s set ended_at = at
  from json_to_recordset(rows) as r(n integer, id uuid) where s.id = r.id and s.ended_at is null and r.n <> all (refused);
  select null::json;
$$;

insert into ledger_hook values ('account_add', 'account_add', 40), ('account_change', 'account_change', 41),
  ('session_open', 'session_open', 42), ('session_end', 'session_end', 43);
`;

export const authMigrations: [name: string, sql: string][] = [
  ['auth-0001-accounts', accountsSql],
  ['auth-0002-rate', rateSql],
];
