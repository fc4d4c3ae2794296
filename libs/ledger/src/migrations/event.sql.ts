/**
 * The event table and the chain over it. `position` is dense from 1 in commit order. `digest` covers every stored column;
 * a block covers the digests of one append call and the hash of the block before.
 */
export const eventSql = String.raw`
create table event (
  position bigint primary key,
  id uuid not null,
  stream text collate "C" not null,
  version integer not null,
  type text not null,
  schema smallint not null,
  data json not null,
  meta json not null,
  digest bytea not null,
  recorded_at timestamptz not null,
  constraint event_stream_version unique (stream, version)
);
-- A repeated order is found among its stream's first 50 events by reading them; only long streams pay for an index.
create index event_of_long_stream on event (stream, id) where version > 50;

create table block (
  first bigint primary key,
  last bigint not null,
  previous bytea not null,
  hash bytea not null
);

-- recorded is the epoch of recorded_at. The lengths stand before the texts, so no two different events read the same.
create function event_digest(
  at_position bigint, id uuid, stream text, version integer, type text, schema smallint, data text, meta text, recorded numeric
) returns bytea language sql stable parallel safe as $$
  select sha256(convert_to(concat_ws(' ', at_position, id, version, schema, recorded,
    octet_length(stream), octet_length(type), octet_length(data), stream, type, data, meta), 'UTF8'))
$$;

create function event_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger is append-only';
end $$;
create trigger event_append_only before update or delete on event for each row execute function event_refuse_change();
create trigger event_no_truncate before truncate on event execute function event_refuse_change();
create trigger block_append_only before update or delete on block for each row execute function event_refuse_change();
create trigger block_no_truncate before truncate on block execute function event_refuse_change();
`;
