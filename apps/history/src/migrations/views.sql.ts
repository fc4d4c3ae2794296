/** Read models: disposable, filled from the ledger alone. `born` is the position of the first event: dense, unique, in commit order. */
export const viewsSql = String.raw`
create table run_view (
  id uuid primary key,
  born bigint not null,
  number integer not null,
  process_id uuid,
  process_number integer,
  status text not null,
  owner text not null,
  batch text,
  server text,
  requested_at timestamptz not null,
  started_at timestamptz,
  row json not null
);
create unique index run_view_born on run_view (born desc);
create index run_view_number on run_view (number);
create index run_view_owner on run_view (owner, born desc);
create index run_view_status on run_view (status, born desc);
create index run_view_process on run_view (process_id, born desc) where process_id is not null;
create index run_view_started on run_view (process_number, started_at desc, number desc) where started_at is not null and process_number is not null;

create index run_view_batch on run_view (batch, born) where batch is not null;

create table batch_view (
  id uuid primary key,
  born bigint not null,
  -- The position of the last of the runs that were born with it: the view shows a batch when it has passed that.
  complete bigint not null,
  owner text not null,
  row json not null
);
create unique index batch_view_born on batch_view (born desc);

create table batch_count (
  batch text not null,
  status text not null,
  runs bigint not null,
  primary key (batch, status)
);

create table run_count (
  owner text not null,
  status text not null,
  runs bigint not null,
  primary key (owner, status)
);

create table process_view (
  id uuid primary key,
  born bigint not null,
  number integer not null unique,
  name text not null,
  description text,
  kind text not null,
  owner text not null,
  enabled boolean not null,
  retired boolean not null,
  row json not null
);
create unique index process_view_born on process_view (born desc);
`;

/** What nobody searches in need not be checked again by each insert: the projection made it with JSON.stringify. */
const rowAsTextSql = 'alter table run_view alter column row type text using row::text';

/** The activity log; an entry's position is its event's. Times of a source are text: they are given back as they came. */
const activitySql = String.raw`
create table activity_view (
  position bigint primary key,
  owner text not null,
  type text not null,
  process uuid not null,
  run uuid,
  at timestamptz not null,
  message text not null,
  metadata text not null
);
create index activity_view_owner on activity_view (owner, position desc);
create index activity_view_owner_type on activity_view (owner, type, position desc);
create index activity_view_type on activity_view (type, position desc);
create index activity_view_run on activity_view (run) where run is not null;

create table activity_source (
  id uuid primary key,
  owner text not null,
  process uuid not null,
  name text not null,
  started_at text
);

create table activity_count (
  owner text not null,
  type text not null,
  entries bigint not null,
  primary key (owner, type)
);
`;

export const historyMigrations: [name: string, sql: string][] = [
  ['history-0001-views', viewsSql],
  ['history-0002-row-as-text', rowAsTextSql],
  ['history-0003-activity', activitySql],
];
