/** What the ledger's tests share: a migrated database with a few hooks, a small decider, a small read model. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { Refusal, type Decider, type Meta } from '#domain';
import { type Append, type Verdict } from './append.js';
import { type Flushed } from './flush.js';
import { Ledger, type LedgerOptions } from './ledger.js';
import { ledgerMigrations } from './migrations/migrations.js';
import { type Projection } from './projection.js';

const hooksSql = String.raw`
create table slip (name text primary key, number integer not null);
create function slip_add(rows json, refused integer[], at timestamptz) returns json language sql as $$
  insert into slip select r.name, r.number from json_to_recordset(rows) as r(n integer, name text, number integer)
  where r.n <> all (refused);
  select json_build_object('rows', json_array_length(rows));
$$;
create function test_start(rows json, refused integer[], at timestamptz) returns json language plpgsql as $$
declare
  appended record;
begin
  select a.* into appended from ledger_append((
    select json_agg(json_build_object('stream', r.stream, 'expected', null, 'id', gen_random_uuid(), 'type', 'Started', 'schema', 1,
      'data', json_build_object('by', r.by), 'meta', json_build_object('actor', 'system')))
    from json_to_recordset(rows) as r(stream text, by text)
  ), '[]', at) a;
  return json_build_object('started', appended.last - appended.first + 1, 'types', array['Started']);
end $$;
create function test_sleep(rows json, refused integer[], at timestamptz) returns json language sql as $$
  select json_build_object('slept', count(pg_sleep(r.seconds))) from json_to_recordset(rows) as r(seconds float8);
$$;
create sequence test_tries;
create function test_deadlock(rows json, refused integer[], at timestamptz) returns json language plpgsql as $$
begin
  if nextval('test_tries') < 3 then raise exception 'deadlock detected' using errcode = '40P01'; end if;
  return null;
end $$;
insert into ledger_hook values ('deadlock', 'test_deadlock', 95), ('slip', 'slip_add', 50), ('start', 'test_start', 90), ('sleep', 'test_sleep', 99);
create table tally_view (stream text primary key, sum integer not null, events integer not null, last bigint not null)
  with (fillfactor = 70);
create index tally_by_sum on tally_view (sum desc, stream) where sum > 0;
create index tally_recent on tally_view (last);
`;

/** For `createDatabase` of the test library. */
export const ledgerTemplate = {
  template: 'ledger',
  prepare: async (url: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    for (const [, sql] of ledgerMigrations) await client.query(sql);
    await client.query(hooksSql);
    await client.end();
  },
};

export interface TestLedger {
  ledger: Ledger;
  pool: pg.Pool;
  bells: Flushed[];
}

const open: pg.Pool[] = [];

/** A ledger with a pool of its own, as another process would have it. */
export function openLedger(url: string, options: LedgerOptions = {}): TestLedger {
  const pool = new pg.Pool({ connectionString: url, max: 8 });
  pool.on('error', () => {});
  open.push(pool);
  const bells: Flushed[] = [];
  return { ledger: new Ledger(pool, { onFlushed: (flushed) => void bells.push(flushed), ...options }), pool, bells };
}

export async function closeLedgers(): Promise<void> {
  await Promise.all(open.splice(0).map((pool) => pool.end()));
}

export const meta = (extra: Partial<Meta> = {}): Meta => ({
  now: '2026-07-01T12:00:00.000Z',
  actor: 'ann',
  correlationId: 'c-1',
  commandId: randomUUID(),
  ...extra,
});

export const newStream = (category = 'tally'): string => `${category}-${randomUUID()}`;

/** An append of `Added` events, one for each number. */
export function added(
  stream: string,
  expected: number | null,
  by: number[] = [1],
  extra: Partial<Append> = {},
): Append {
  return { stream, expected, events: by.map((n) => ({ type: 'Added', data: { by: n } })), meta: meta(), ...extra };
}

export async function verdictOf(ledger: Ledger, append: Append): Promise<Verdict> {
  return (await ledger.append(append)).verdict;
}

export type TallyEvent = { type: 'Opened' | 'Added'; data: { by: number } };
export type TallyCommand = { type: 'Open' | 'Add' | 'Rest'; by?: number; meta: Meta };

/** Sums; `Rest` changes nothing, and nobody may add more than 100 at once. */
export const tally: Decider<{ sum: number; open: boolean }, TallyCommand, TallyEvent> = {
  category: 'tally',
  initial: { sum: 0, open: false },
  decide: (state, { type, by = 1 }) => {
    if (type === 'Rest' || (type === 'Open' && state.open)) return [];
    if (by > 100) throw new Refusal('rejected', 'TOO_MUCH', 'Too much at once');
    return [{ type: type === 'Open' ? 'Opened' : 'Added', data: { by } }];
  },
  evolve: (state, { data }) => ({ sum: state.sum + data.by, open: true }),
};

/** `poison` says which events it cannot apply. */
export function tallies(poison: (data: { by?: number }) => boolean = () => false, name = 'tally_view'): Projection {
  return {
    name,
    tables: ['tally_view'],
    categories: ['tally'],
    async apply({ client, table }, events) {
      if (events.some(({ data }) => poison(data as { by?: number }))) throw new Error('poison');
      const rows = events.map(({ stream, data, position }) => ({
        stream,
        by: (data as { by?: number }).by ?? 0,
        position,
      }));
      await client.query(
        `insert into ${table('tally_view')} as t
        select stream, sum(by), count(*), max(position) from json_to_recordset($1) as r(stream text, by integer, position bigint)
        group by stream
        on conflict (stream) do update set sum = t.sum + excluded.sum, events = t.events + excluded.events, last = excluded.last`,
        [JSON.stringify(rows)],
      );
    },
  };
}

/** One text for all rows of the read model. */
export async function checksum(pool: pg.Pool, table = 'tally_view'): Promise<string> {
  const text = `select coalesce(md5(string_agg(t::text, ',' order by stream)), '') as sum from ${table} t`;
  return (await pool.query<{ sum: string }>(text)).rows[0]!.sum;
}

export async function until(what: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await what())) {
    if (performance.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Positions 1, 2, 3 … and versions 1, 2, 3 … in each stream, in the order of positions. */
export async function disorder(pool: pg.Pool): Promise<{ gaps: number; jumps: number }> {
  const { rows } = await pool.query<{ gaps: number; jumps: number }>(`
    select count(*) filter (where position <> place)::integer as gaps, count(*) filter (where version <> turn)::integer as jumps
    from (select position, version, row_number() over (order by position) as place,
      row_number() over (partition by stream order by position) as turn from event) e`);
  return rows[0]!;
}
