/** How often something was done in a window of time. What a crash loses of it is a minute's counts: no log is written for it. */
export const rateSql = String.raw`
create unlogged table rate_window (
  key uuid primary key,
  count integer not null,
  resets_at timestamptz not null
);
create index rate_window_over on rate_window (resets_at);

-- Counts one more under the key; a window begins with the first after the last one was over.
create function rate_take(named uuid, seconds integer) returns table (count integer, wait float8) language sql as $$
  insert into rate_window as w (key, count, resets_at)
  values (named, 1, clock_timestamp() + make_interval(secs => seconds))
  on conflict (key) do update set
    count = case when w.resets_at <= clock_timestamp() then 1 else w.count + 1 end,
    resets_at = case when w.resets_at <= clock_timestamp() then excluded.resets_at else w.resets_at end
  returning w.count, extract(epoch from w.resets_at - clock_timestamp())::float8
$$;
`;
