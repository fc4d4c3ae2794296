/** Several processes write as hard as they can, are paused and killed; followers are restarted: the ledger stays one dense line. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Pool } from 'pg';
import { Ledger, ledgerMigrations } from '#ledger';
import { chainHolds, isDense } from '../invariants.js';
import { Member } from '../member.js';
import { check, figure, within, type Scenario, type Scene } from '../scene.js';
import { linesOf } from '../stack.js';
import { type WriterCounts } from './ledger-writer.js';

const hookSql = String.raw`
create function fire_raise(rows json, refused integer[], at timestamptz) returns json language plpgsql as $$
begin raise exception 'on purpose'; end $$;
insert into ledger_hook values ('fire_raise', 'fire_raise', 99);
create table fire_seen (place bigserial, position bigint not null, stream text not null, version integer not null);
`;

export async function ledgerDatabase(scene: Scene): Promise<{ url: string; pool: Pool }> {
  const url = await scene.store.createDatabase();
  const pool = scene.store.pool(url);
  for (const [, sql] of ledgerMigrations) await pool.query(sql);
  await pool.query(hookSql);
  return { url, pool };
}

export const ledger: Scenario = {
  name: 'ledger',
  topologies: 'none',
  async run(scene) {
    const { url, pool } = await ledgerDatabase(scene);
    const target = scene.short ? 8_000 : 100_000;
    const writers = startWriters(scene, url, 4, target / 3);
    const followers = [follower(scene, url, 1), follower(scene, url, 2)];
    followers.forEach((each) => each.start());
    const probe = new Probe(pool);
    const stopped = new AbortController();
    const restarts = restartFollowers(scene, followers, stopped.signal);
    // The fourth is killed half-way: what it had not been told stands or does not, but nothing stands twice.
    await within(20_000, () => linesOf(writers[3]!.file).length > (scene.short ? 200 : 5_000), 5);
    await writers[3]!.member.kill();
    scene.report.fault('kill -9 of a writing process');
    const held = await pauses(scene, writers, probe);
    const done = await Promise.all(writers.slice(0, 3).map(({ finished }) => finished));
    stopped.abort();
    await restarts;
    await probe.stop();
    sums(scene, done);
    check(scene, 'a paused writer holds nobody up for more than 1 s', held <= 1_000, `${held.toFixed(0)} ms at worst`);
    await isDense(scene, pool);
    await chainHolds(scene, pool);
    await acknowledgementsHold(
      scene,
      pool,
      writers.map(({ file }) => file),
    );
    await followersSawAll(scene, pool);
    await Promise.all(followers.map((each) => each.kill()));
    await pool.end();
  },
};

interface Writer {
  member: Member;
  file: string;
  finished: Promise<WriterCounts>;
}

function startWriters(scene: Scene, url: string, count: number, events: number): Writer[] {
  return Array.from({ length: count }, (_, n) => {
    const file = path.join(scene.dir, `acknowledged-${n}`);
    let finish: (counts: WriterCounts) => void = () => undefined;
    const finished = new Promise<WriterCounts>((resolve) => (finish = resolve));
    const main = path.join(scene.dist, 'deploy/fire/scenarios/ledger-writer.js');
    const args = [main, url, String(scene.dice.between(1, 1e6)), String(Math.ceil(events)), file];
    const log = path.join(scene.dir, `writer-${n}.log`);
    const member = new Member({
      ...{ name: `writer-${n}`, args, env: process.env, log },
      onMessage: (counts) => finish(counts as WriterCounts),
    });
    scene.cleanup.add(() => member.kill());
    member.start();
    return { member, file, finished };
  });
}

function follower(scene: Scene, url: string, n: number): Member {
  const args = [path.join(scene.dist, 'deploy/fire/scenarios/ledger-follower.js'), url];
  const log = path.join(scene.dir, `follower-${n}.log`);
  const member = new Member({ name: `follower-${n}`, args, env: process.env, log, onMessage: () => undefined });
  scene.cleanup.add(() => member.kill());
  return member;
}

async function restartFollowers(scene: Scene, followers: Member[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(scene.dice.between(2_000, 5_000), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const victim = scene.dice.pick(followers);
    await victim.kill();
    victim.start();
    scene.report.fault('kill -9 of a follower');
  }
}

/** Somebody else's append every few milliseconds, and how long each took. */
class Probe {
  private readonly waits: { began: number; ended: number }[] = [];
  private stopped = false;
  private readonly loop: Promise<void>;

  constructor(pool: Pool) {
    const ledger = new Ledger(pool);
    this.loop = (async () => {
      for (let n = 0; !this.stopped; n++) {
        const meta = {
          now: new Date().toISOString(),
          actor: 'probe',
          correlationId: 'fire',
          commandId: crypto.randomUUID(),
        };
        const began = performance.now();
        const events = [{ type: 'Added', data: { by: n } }];
        await ledger.append({ stream: `tally-probe${n}`, expected: 0, events, meta });
        this.waits.push({ began, ended: performance.now() });
        await sleep(5);
      }
    })();
  }

  slowest(from: number, to: number): number {
    const seen = this.waits.filter(({ began, ended }) => ended >= from && began <= to);
    return Math.max(...seen.map(({ began, ended }) => ended - began));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.loop;
  }
}

async function pauses(scene: Scene, writers: Writer[], probe: Probe): Promise<number> {
  let worst = 0;
  for (let n = 0; n < (scene.short ? 2 : 6); n++) {
    await sleep(scene.dice.between(100, 600));
    const victim = writers[n % 3]!.member;
    if (!victim.runs) break;
    const from = performance.now();
    victim.pause();
    scene.report.fault('SIGSTOP of a writing process');
    await sleep(scene.short ? 1_500 : 2_500);
    worst = Math.max(worst, probe.slowest(from, performance.now()));
    victim.resume();
  }
  return worst;
}

function sums(scene: Scene, done: WriterCounts[]): void {
  const of = (kind: keyof WriterCounts) => done.reduce((sum, counts) => sum + counts[kind], 0);
  for (const kind of ['events', 'duplicates', 'conflicts', 'rollbacks'] as const) {
    check(scene, `the load held ${kind}`, of(kind) > 0, String(of(kind)));
  }
  scene.report.fault('conflicting append', of('conflicts'));
  scene.report.fault('append sent twice', of('duplicates'));
  scene.report.fault('flush rolled back', of('rollbacks'));
}

async function acknowledgementsHold(scene: Scene, pool: Pool, files: string[]): Promise<void> {
  const lines = files.flatMap(linesOf);
  const told = lines.filter((line) => line.startsWith('A ')).map((line) => line.split(' '));
  const refused = lines.filter((line) => line.startsWith('R ')).map((line) => line.slice(2));
  const rows = told.map(([, position, id, stream, version]) => ({ position, id, stream, version: Number(version) }));
  const missing = `select count(*)::int as n from json_to_recordset($1) as r(position bigint, id uuid, stream text, version int)
    where not exists (select from event e where (e.position, e.id, e.stream, e.version) = (r.position, r.id, r.stream, r.version))`;
  const lost = (await pool.query<{ n: number }>(missing, [JSON.stringify(rows)])).rows[0]!.n;
  check(
    scene,
    'every acknowledged event stands where it was said',
    lost === 0,
    `${rows.length} acknowledged, ${lost} not`,
  );
  const back = 'select count(*)::int as n from event where stream = any($1)';
  const risen = (await pool.query<{ n: number }>(back, [refused])).rows[0]!.n;
  check(
    scene,
    'nothing stands that was rolled back',
    risen === 0 && !lines.some((line) => line.startsWith('BAD')),
    `${refused.length} rolled back`,
  );
  const hot = (
    await pool.query<{ n: number }>(`select count(distinct stream)::int as n from event where stream like 'tally-hot%'`)
  ).rows[0]!.n;
  check(scene, 'forty hot streams were written by all', hot === 40, String(hot));
  // Beside the acknowledged stand the probe's events, and what the killed writer was not told in time.
  const extra = `select count(*)::int as n from event e where e.meta->>'actor' = 'fire'`;
  const all = (await pool.query<{ n: number }>(extra)).rows[0]!.n;
  const untold = all - rows.length;
  check(scene, 'only a killed writer was not told of its events', untold >= 0 && untold <= 40 * 3, `${untold} untold`);
  figure(scene, `${all} events by 4 writers, ${untold} of them never answered`);
}

async function followersSawAll(scene: Scene, pool: Pool): Promise<void> {
  const caught = await within(60_000, async () => {
    const text = `select from checkpoint where name = 'fire_seen' and position = (select max(position) from event)`;
    return (await pool.query(text)).rowCount === 1;
  });
  const { rows } = await pool.query<{ n: number; missed: number; disordered: number; heads: number }>(`
    select count(*)::int as n, (select count(*) from event)::int - count(distinct position)::int as missed,
      count(*) filter (where version <> turn)::int as disordered, count(distinct position)::int as heads
    from (select position, version, row_number() over (partition by stream order by place) as turn from fire_seen) s`);
  const { n, missed, disordered, heads } = rows[0]!;
  check(scene, 'the followers caught up', caught);
  check(scene, 'a restarted follower missed nothing', missed === 0, `${missed} of ${n} missed`);
  check(scene, 'and saw nothing twice', n === heads, `${n - heads} doubled`);
  check(scene, 'and saw every stream in its order', disordered === 0, `${disordered} out of order`);
}
