/** Somebody with the database's password changes what stands in the ledger: verify names the place, as far as it promises to. */
import { type Pool } from 'pg';
import { Ledger, verify, type Verification } from '#ledger';
import { check, type Scenario, type Scene } from '../scene.js';
import { ledgerDatabase } from './ledger.js';

const events = 600;

/** Each column, changed as little as its type allows. */
const columns: Record<string, string> = {
  id: 'id = gen_random_uuid()',
  stream: `stream = stream || 'x'`,
  version: 'version = version + 1000',
  type: `type = type || 's'`,
  schema: 'schema = schema + 1',
  data: `data = replace(data::text, '"by":', '"by": ')::json`,
  meta: `meta = replace(meta::text, '"fire"', '"gire"')::json`,
  digest: `digest = set_byte(digest, 7, get_byte(digest, 7) # 1)`,
  recorded_at: `recorded_at = recorded_at + interval '1 microsecond'`,
};

export const tamper: Scenario = {
  name: 'tamper',
  topologies: 'none',
  async run(scene) {
    const { pool } = await ledgerDatabase(scene);
    await fill(new Ledger(pool));
    await pool.query('alter table event disable trigger user; alter table block disable trigger user');
    const { ok, head } = await verify(pool);
    check(scene, 'what nobody touched verifies', ok, `${head.position} events`);
    for (const [column, change] of Object.entries(columns)) await oneColumn(scene, pool, column, change);
    await rows(scene, pool);
    await blocks(scene, pool);
    await limits(scene, pool, head);
    await pool.end();
  },
};

/** Blocks of one event to some. */
async function fill(ledger: Ledger): Promise<void> {
  for (let n = 0; n < events;) {
    const burst = Array.from({ length: 1 + (n % 7) }, (_, i) => n + i);
    const meta = () => ({
      now: new Date().toISOString(),
      actor: 'fire',
      correlationId: 'c',
      commandId: crypto.randomUUID(),
    });
    await Promise.all(
      burst.map((by) =>
        ledger.append({ stream: `tally-${by}`, expected: 0, events: [{ type: 'Added', data: { by } }], meta: meta() }),
      ),
    );
    n += burst.length;
  }
}

/** Changes, looks, and puts it all back. */
async function look(
  pool: Pool,
  change: (query: (text: string, values?: unknown[]) => Promise<unknown>) => Promise<void>,
): Promise<Verification> {
  await pool.query('create table kept_event as table event; create table kept_block as table block');
  await change((text, values) => pool.query(text, values));
  const found = await verify(pool);
  await pool.query(`delete from event; insert into event select * from kept_event; drop table kept_event;
    delete from block; insert into block select * from kept_block; drop table kept_block`);
  return found;
}

function names(scene: Scene, what: string, found: Verification, problem: string, position: number): void {
  const { ok, firstBad } = found;
  const right = !ok && firstBad?.problem === problem && firstBad.position === String(position);
  scene.report.fault('tampering with the ledger');
  check(
    scene,
    `${what} is named`,
    right,
    `${firstBad?.problem} ${firstBad?.position}, expected ${problem} ${position}`,
  );
}

async function oneColumn(scene: Scene, pool: Pool, column: string, change: string): Promise<void> {
  const at = scene.dice.between(2, events - 1);
  const found = await look(
    pool,
    async (query) => void (await query(`update event set ${change} where position = $1`, [at])),
  );
  names(scene, `a changed ${column}`, found, 'event', at);
}

async function rows(scene: Scene, pool: Pool): Promise<void> {
  const at = scene.dice.between(2, events / 2);
  const other = scene.dice.between(events / 2 + 1, events - 1);
  const moved = await look(
    pool,
    async (query) => void (await query('update event set position = position + 1000000 where position = $1', [at])),
  );
  names(scene, 'a changed position', moved, 'missing', at);
  const deleted = await look(pool, async (query) => void (await query('delete from event where position = $1', [at])));
  names(scene, 'a deleted row', deleted, 'missing', at);
  const swapped = await look(pool, async (query) => {
    await query('update event set position = -1 where position = $1', [at]);
    await query('update event set position = $1 where position = $2', [at, other]);
    await query('update event set position = $1 where position = -1', [other]);
  });
  names(scene, 'a swapped pair', swapped, 'event', at);
  const added = await look(pool, async (query) => {
    await query(
      `insert into event select $1, gen_random_uuid(), 'tally-new', 1, type, schema, data, meta, digest, recorded_at
      from event where position = 1`,
      [events + 1_000],
    );
  });
  check(scene, 'an added row is found', !added.ok, added.firstBad?.text);
}

const redigest = `update event set data = '{"by":-1}', digest = event_digest(position, id, stream, version, type, schema, '{"by":-1}',
  meta::text, extract(epoch from recorded_at)) where position = $1`;

async function blocks(scene: Scene, pool: Pool): Promise<void> {
  const at = scene.dice.between(20, events - 20);
  const text = 'select first::int, last::int from block where first <= $1 and last >= $1';
  const { first } = (await pool.query<{ first: number }>(text, [at])).rows[0]!;
  const next = (
    await pool.query<{ first: number }>('select min(first)::int as first from block where first > $1', [at])
  ).rows[0]!.first;
  const both = await look(pool, async (query) => void (await query(redigest, [at])));
  names(scene, 'an event rewritten with its digest', both, 'block', first);
  const rewritten = await look(pool, async (query) => {
    await query(redigest, [at]);
    await query(rehash, [first]);
  });
  names(scene, 'a rewritten block breaks the chain at the next', rewritten, 'block', next);
  const hash = await look(
    pool,
    async (query) => void (await query('update block set hash = sha256(hash) where first = $1', [first])),
  );
  names(scene, "a block's changed hash", hash, 'block', first);
  const gone = await look(pool, async (query) => void (await query('delete from block where first = $1', [first])));
  names(scene, 'a deleted block', gone, 'block', next);
}

const rehash = `update block b set hash = sha256(b.previous || (select string_agg(e.digest, ''::bytea order by e.position)
  from event e where e.position between b.first and b.last)) where b.first = $1`;

/** What no chain inside its own database can show shows against a head that is kept outside. */
async function limits(scene: Scene, pool: Pool, head: Verification['head']): Promise<void> {
  const cut = await look(pool, async (query) => {
    const last = `(select first from block order by first desc limit 1)`;
    await query(`delete from event where position >= ${last}`);
    await query(`delete from block where first = ${last}`);
  });
  check(
    scene,
    'limit: a cut tail verifies, but not against a head kept outside',
    cut.ok && cut.head.hash !== head.hash,
  );
  const at = scene.dice.between(20, events - 20);
  const whole = await look(pool, async (query) => {
    await query(redigest, [at]);
    const { rows } = await pool.query<{ first: string }>(
      'select first::text from block where last >= $1 order by block.first',
      [at],
    );
    for (const { first } of rows) {
      await query(
        `update block b set previous = coalesce((select p.hash from block p where p.last = b.first - 1), ''::bytea) where b.first = $1`,
        [first],
      );
      await query(rehash, [first]);
    }
  });
  check(
    scene,
    'limit: a chain rewritten to its end verifies, but not against a head kept outside',
    whole.ok && whole.head.hash !== head.hash,
  );
}
