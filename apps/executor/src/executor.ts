import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { bells, type Flushed } from '#bus';
import { newId, type Holder, type Meta, type RunEvent, type SealedSecret } from '#domain';
import { type Append, type Handled } from '#ledger';
import { admit, birth, isAtOnce, Rescuer, type Born, type Queueing } from '#admission';
import { Context } from '#service';
import { adopt, changeOccupant, claimedUnheard, takeLeftovers } from './adoption.js';
import { type Attempt } from './attempt.js';
import { Claimer } from './claimer.js';
import { type LauncherClient } from './launcher/launcher-client.js';
import { LauncherLink } from './launcher-link.js';
import { Lease, type Held } from './lease.js';
import { OutputStore } from './output-store.js';
import { Superseder } from './superseder.js';
import { Supervisor } from './supervisor.js';

/** What puts rows into the queue or makes room for them, and what ends a run that may have held others up. */
const queueing = new Set(['queue_add', 'queue_retry', 'limit_set']);
const freeing = ['RunCancelled', 'RunForceCompleted'];
const renewEvery = 5_000;
const rescueEvery = 2_000;
const mostLight = 1_000;
const stopWaits = 5_000;
/** Many ask under load: one look at what the database says of our runs stands for all of a moment. */
const lookWithin = 250;

/** One executor: its lease, its claims, its launcher, and the judging of others. */
@Injectable()
export class Executor implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly supervisor: Supervisor;
  private readonly output: OutputStore;
  private readonly rescuer: Rescuer;
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly stops: (() => void)[] = [];
  private lease: Lease;
  private link: LauncherLink;
  private claimer: Claimer;
  private superseder: Superseder;
  private former: string | null = null;
  private meeting = false;
  private renewing = false;
  private looking: NodeJS.Timeout | null = null;

  constructor(private readonly context: Context) {
    const { pool, bus, ledger } = context;
    this.output = new OutputStore(
      pool,
      bus,
      (attempt, seq) => this.link.ack(attempt.launcherKey, seq),
      (err) => this.trouble(err, 'output is stored again later'),
    );
    this.supervisor = new Supervisor(context, this.output, () => this.link, {
      freed: (weighed) => this.claimer.freed(weighed),
    });
    this.rescuer = new Rescuer(ledger, (run, reason) => context.log.warn({ run, reason }, 'run lost'));
  }

  async onApplicationBootstrap(): Promise<void> {
    const { config, log } = this.context;
    const dir = path.join(config.dataDir, `executor-${config.RUNLEDGER_INSTANCE}`);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await this.newLease();
    this.former = await changeOccupant(dir, this.lease.executor);
    this.link = this.openLink(dir);
    this.claimer = this.openClaimer();
    this.superseder = new Superseder(this.context, (err) => this.trouble(err, 'superseded runs are cancelled later'));
    this.timers.push(
      setInterval(() => void this.renew(), renewEvery),
      setInterval(() => void this.rescue(), rescueEvery),
    );
    await this.link.connect();
    void this.renew();
    this.stops.push(this.context.bus.listen(bells.flushed, (flushed) => this.heard(flushed)));
    this.claimer.poke();
    log.info({ executor: this.lease.executor, slots: config.RUNLEDGER_EXECUTOR_SLOTS }, 'executor ready');
  }

  /** Queues a run, or carries it out with its birth when there is nothing to do in it. */
  async request(id: string, born: Born, meta: Meta, secrets: SealedSecret[] = []): Promise<Handled<RunEvent>> {
    const { ledger } = this.context;
    if (isAtOnce(born)) return admit(ledger, id, born, meta, { atOnce: await this.holder() });
    const done = admit(ledger, id, born, meta, { secrets });
    // A claim ordered in the turn of a run's birth goes out in the same flush.
    this.claimer.poke();
    return done;
  }

  /** A birth for a commit that holds more than it. */
  async birthOf(id: string, born: Born, meta: Meta, queueing: Queueing): Promise<Append> {
    return birth(id, born, meta, isAtOnce(born) ? { ...queueing, atOnce: await this.holder() } : queueing);
  }

  /** Who holds a run that is over with its birth. */
  private holder(): Holder | Promise<Holder> {
    const { executor, server } = this.lease;
    const holding = (epoch: number) => ({ executor, server, epoch: String(epoch) });
    const epoch = this.context.ledger.number('epoch');
    return typeof epoch === 'number' ? holding(epoch) : epoch.then(holding);
  }

  /** Takes no more; what is left stays with the launcher (`keep`) or is ended and recorded so (`end`). */
  async onApplicationShutdown(): Promise<void> {
    const ends = this.context.config.RUNLEDGER_EXECUTOR_ON_STOP === 'end';
    this.superseder.stop();
    this.stops.forEach((stop) => stop());
    await this.claimer.stop();
    if (ends) {
      await this.emptied(stopWaits);
      this.link.shutdown(stopWaits);
      await this.emptied(3 * stopWaits);
    } else await this.emptied(stopWaits, (attempt) => !attempt.weighs || attempt.ending);
    this.timers.forEach((timer) => clearInterval(timer));
    clearTimeout(this.looking ?? undefined);
    if (ends) await this.lease.giveBack().catch((err: unknown) => this.trouble(err, 'the lease runs out by itself'));
    else await this.renew();
    this.link.close();
  }

  private async emptied(within: number, which: (attempt: Attempt) => boolean = () => true): Promise<void> {
    const until = performance.now() + within;
    while (this.supervisor.all().some(which) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  private openLink(dir: string): LauncherLink {
    const { supervisor } = this;
    return new LauncherLink(
      { dir, executor: this.lease.executor, log: (line) => this.context.log.debug({ line }, 'launcher') },
      {
        onStarted: () => undefined,
        onRefused: (refused) => supervisor.onRefused(refused),
        onChunk: (chunk, bytes) => supervisor.onChunk(chunk.key, chunk, bytes),
        onVoice: (key, said) => supervisor.onVoice(key, said),
        onClosed: (closed) => supervisor.onClosed(closed),
        onConnected: (client) => this.meetLauncher(client),
        onTrouble: (err) => this.trouble(err, 'the launcher is connected again later'),
      },
    );
  }

  private openClaimer(): Claimer {
    const { ledger, config } = this.context;
    const room = () => ({
      slots: config.RUNLEDGER_EXECUTOR_SLOTS - this.supervisor.weighing,
      light: mostLight - this.supervisor.weightless,
      all: config.RUNLEDGER_EXECUTOR_SLOTS,
    });
    return new Claimer(ledger, () => this.lease.executor, room, {
      claimed: (runs) => runs.forEach((run) => this.supervisor.begin(run)),
      fenced: () => void this.renew(),
      trouble: (err) => this.trouble(err, 'claiming again later'),
    });
  }

  /** Runs that it has and we do not know are adopted; runs that it should have and has not are lost. */
  private async meetLauncher(client: LauncherClient): Promise<void> {
    const has = new Set<Attempt>();
    this.meeting = true;
    for (const { key } of client.runs) {
      const known = this.supervisor.find(key);
      if (known) {
        has.add(known);
        this.supervisor.sendKill(known);
      } else if (typeof key !== 'string') has.add(this.adopt(key.run, key.attempt, String(key.epoch)));
    }
    for (const attempt of this.supervisor.all()) {
      if (has.has(attempt) || attempt.ending) continue;
      if (attempt.order?.sent) this.supervisor.lose(attempt, 'its launcher died');
      else this.link.send(attempt);
    }
    await this.settleFormer();
    this.meeting = false;
  }

  private adopt(run: string, number: number, epoch: string): Attempt {
    const { pool, log } = this.context;
    const unknown = {
      name: '',
      number: 0,
      action: { kind: 'command' as const, shell: ':' },
      policies: {},
      process: null,
      scheduledFor: null,
      owner: '',
    };
    const attempt = this.supervisor.add({
      run,
      attempt: number,
      epoch,
      version: 0,
      work: unknown,
      correlation: newId(),
      at: '',
    });
    attempt.order = { sent: true, start: { key: attempt.launcherKey, argv: [], env: {} } };
    attempt.adoptUntil(
      this.patiently(async () => {
        const claimed = await adopt(pool, this.lease.executor, run, epoch);
        if (!claimed) {
          log.info({ run }, 'a run of a former executor was judged already: ended');
          this.link.kill(attempt.launcherKey, 'fenced', 0);
          return;
        }
        attempt.become(claimed);
        await this.output.resume(attempt);
        log.info({ run, attempt: number }, 'run adopted');
      }),
    );
    return attempt;
  }

  private async settleFormer(): Promise<void> {
    const { former } = this;
    this.former = null;
    if (!former) return;
    const { pool } = this.context;
    await this.patiently(async () => {
      await Promise.all(this.supervisor.all().map((attempt) => attempt.isReady()));
      for (const claimed of await takeLeftovers(pool, this.lease.executor, former)) {
        this.supervisor.lose(this.supervisor.add(claimed), 'its executor died');
      }
      await pool.query('delete from executor_lease where executor = $1', [former]);
    });
  }

  private async patiently(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (err) {
        this.trouble(err, 'adopting again later');
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }

  private async newLease(): Promise<void> {
    const { reserved, config } = this.context;
    const name = config.RUNLEDGER_EXECUTOR_NAME;
    this.lease = new Lease(
      reserved,
      `${name}-${config.RUNLEDGER_INSTANCE}-${newId()}`,
      name,
      config.RUNLEDGER_EXECUTOR_QUEUES,
    );
    await this.lease.take();
  }

  /** The launcher's dead-man switch is held only after the database has confirmed that the runs are still ours. */
  private async renew(): Promise<void> {
    if (this.renewing) return;
    this.renewing = true;
    const asked = performance.now();
    try {
      const held = await this.lease.renew();
      if (held) await this.compare(held, asked);
      else await this.fenced();
      this.link.renew();
    } catch (err) {
      this.trouble(err, 'the lease was not renewed');
    } finally {
      this.renewing = false;
    }
  }

  private async compare(held: Held[], asked: number): Promise<void> {
    const mine = new Set(held.map(({ run, epoch }) => `${run}/${epoch}`));
    this.supervisor.cancel(new Set(held.filter(({ cancel }) => cancel).map(({ run }) => run)));
    for (const attempt of this.supervisor.all()) {
      const { run, epoch } = attempt.claimed;
      if (attempt.since < asked && attempt.settledAs && !mine.has(`${run}/${epoch}`))
        this.supervisor.kill(attempt, 'fenced');
    }
    const known = new Set(this.supervisor.all().map(({ claimed: { run, epoch } }) => `${run}/${epoch}`));
    const news = ({ run, epoch }: Held) => !known.has(`${run}/${epoch}`);
    const unheard = held.filter(news).map(({ epoch }) => epoch);
    if (unheard.length === 0) return;
    if (this.claimer.busy || this.meeting) return this.lookSoon();
    for (const claimed of await claimedUnheard(this.context.pool, this.lease.executor, unheard)) {
      this.supervisor.begin(claimed);
    }
  }

  /** We were judged dead: nothing that we run is ours any more. */
  private async fenced(): Promise<void> {
    this.context.log.warn(
      { executor: this.lease.executor },
      'this executor was judged dead: it ends its runs and begins anew',
    );
    this.supervisor.all().forEach((attempt) => this.supervisor.kill(attempt, 'fenced'));
    await this.newLease();
  }

  private async rescue(): Promise<void> {
    try {
      if ((await this.rescuer.sweep()) > 0) this.claimer.poke();
    } catch (err) {
      this.trouble(err, 'rescuing again later');
    }
  }

  private heard({ types, heads, hooks }: Flushed): void {
    if (hooks.some((hook) => queueing.has(hook)) || freeing.some((type) => types.includes(type))) this.claimer.poke();
    else if (hooks.includes('queue_end')) this.claimer.ended();
    if (types.includes('RunRequested') || types.includes('RunStarted')) this.superseder.heard();
    this.supervisor.obey(heads ?? []);
    // What was just being claimed when it was forced is not in hand yet.
    if (types.includes('RunForceCompleted') || (!heads && types.includes('RunCancelRequested'))) this.lookSoon();
  }

  private lookSoon(): void {
    this.looking ??= setTimeout(() => {
      this.looking = null;
      void this.renew();
    }, lookWithin);
  }

  private trouble(err: unknown, what: string): void {
    this.context.log.warn({ err }, what);
  }
}
