import { derivedId, Refusal, type Outcome, type Sealed } from '#domain';
import { lose, report } from '#admission';
import { withStore } from '#ledger';
import { type OpenEnv } from '#secrets';
import { systemMeta, type Context } from '#service';
import { runAction } from './actions/action.js';
import { type Host } from './actions/host.js';
import { Attempt, ended, keyOf, type Claimed } from './attempt.js';
import { type Chunk, type Closed, type Refused, type RunKey, type StartOrder } from './launcher/protocol.js';
import { type LauncherLink } from './launcher-link.js';
import { type OutputStore } from './output-store.js';
import { Voice } from './voice.js';

/** What the line about omitted bytes takes of the limit. */
const markerRoom = 64;
const decisions = new Set(['RunCancelRequested', 'RunForceCompleted', 'RunPurged']);
const exitCodes: Partial<Record<Refused['code'], number>> = { command_not_found: 127, command_not_executable: 126 };

/** Everything this executor has in hand: starts what was claimed, records what became of it. */
export class Supervisor implements Host {
  private readonly attempts = new Map<string, Attempt>();
  private heavy = 0;
  private readonly voice: Voice;

  constructor(
    private readonly context: Context,
    private readonly output: OutputStore,
    private readonly launcher: () => LauncherLink,
    private readonly on: { freed: (weighed: boolean) => void },
  ) {
    this.voice = new Voice(context.ledger, (err) => this.trouble(err, 'progress is reported again later'));
  }

  get weighing(): number {
    return this.heavy;
  }
  get weightless(): number {
    return this.attempts.size - this.heavy;
  }
  all(): Attempt[] {
    return [...this.attempts.values()];
  }
  get allowedRoots(): string[] {
    return this.context.config.RUNLEDGER_ALLOWED_ROOTS;
  }

  add(claimed: Claimed): Attempt {
    const attempt = new Attempt(claimed);
    this.attempts.set(attempt.key, attempt);
    if (attempt.weighs) this.heavy++;
    this.context.metrics.running.set(this.attempts.size);
    return attempt;
  }

  begin(claimed: Claimed): void {
    const attempt = this.add(claimed);
    this.context.log.debug(
      { run: claimed.run, attempt: claimed.attempt, correlationId: claimed.correlation },
      'run starts',
    );
    const failed = (err: unknown) => {
      this.trouble(err, 'an action failed to start');
      this.finish(attempt, ended({ error: 'internal error: the action could not be started' }));
    };
    try {
      Promise.resolve(runAction(attempt, this)).catch(failed);
    } catch (err) {
      failed(err);
    }
  }

  /** Waits for a store that is away, as the run would for a slot. */
  async open(attempt: Attempt, env: Record<string, string | Sealed>): Promise<OpenEnv | null> {
    for (let pause = 100; !attempt.ending; pause = Math.min(2 * pause, 2_000)) {
      try {
        return await withStore(() => this.context.secrets.open(env));
      } catch (err) {
        if (!(err instanceof Refusal)) throw err;
        if (err.kind !== 'unavailable') this.finish(attempt, ended({ error: err.message }));
        else if (attempt.killed) this.finish(attempt, ended({ killed: attempt.killed }));
        else await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
    return null;
  }

  launch(attempt: Attempt, order: Omit<StartOrder, 'key'>): void {
    if (attempt.killed) return this.finish(attempt, ended({ killed: attempt.killed }));
    const { RUNLEDGER_KILL_GRACE_SECONDS: grace, RUNLEDGER_OUTPUT_LIMIT: storeLimit } = this.context.config;
    attempt.order = {
      sent: false,
      start: { ...order, key: attempt.launcherKey, graceMs: grace * 1_000, storeLimit: storeLimit - markerRoom },
    };
    this.launcher().send(attempt);
  }

  /** Records the end once all output is committed; while the store is away the launcher keeps it and we try again. */
  finish(attempt: Attempt, outcome: Outcome): void {
    if (attempt.ending) return;
    this.release(attempt);
    const { run, attempt: number, epoch, correlation } = attempt.claimed;
    const command = () => ({
      type: 'FinishRun' as const,
      meta: systemMeta(derivedId('finish', run, epoch), correlation),
      data: { attempt: number, epoch, outcome },
    });
    void this.untilRecorded(attempt, () => report(this.context.ledger, run, command(), attempt.known));
  }

  /** The attempt is gone without a verdict of its own. */
  lose(attempt: Attempt, reason: string): void {
    if (attempt.ending) return;
    this.release(attempt);
    const { run, attempt: number, epoch, correlation } = attempt.claimed;
    const order = () => lose(systemMeta(derivedId('lost', run, epoch), correlation), number, epoch, reason);
    void this.untilRecorded(attempt, () => report(this.context.ledger, run, order(), attempt.known));
  }

  /** Ends the commands of runs that were cancelled, by whichever executor. */
  cancel(runs: ReadonlySet<string>): void {
    for (const attempt of this.attempts.values()) {
      if (runs.has(attempt.claimed.run)) this.kill(attempt, 'cancel');
    }
  }

  /** Does with the runs in hand what was decided of them: what a purged one still prints is for nobody. */
  obey(heads: [stream: string, type: string][]): void {
    const orders = heads.filter(([, type]) => decisions.has(type));
    if (orders.length === 0) return;
    const decided = new Set(orders.map(([stream, type]) => `${type} ${stream}`));
    for (const attempt of this.attempts.values()) {
      const stream = `run-${attempt.claimed.run}`;
      if (decided.has(`RunCancelRequested ${stream}`)) this.kill(attempt, 'cancel');
      if (decided.has(`RunForceCompleted ${stream}`)) this.kill(attempt, 'fenced');
      if (decided.has(`RunPurged ${stream}`)) attempt.purged = true;
    }
  }

  kill(attempt: Attempt, why: 'cancel' | 'fenced'): void {
    if (attempt.ending || attempt.killed === why) return;
    attempt.killed = why;
    if (attempt.order?.sent) this.sendKill(attempt);
    else if (attempt.order) this.finish(attempt, ended({ killed: why }));
  }

  /** After each connection too: the one before may not have carried it. */
  sendKill(attempt: Attempt): void {
    const { killed, launcherKey } = attempt;
    if (killed) this.launcher().kill(launcherKey, killed, killed === 'fenced' ? 0 : undefined);
  }

  onChunk(key: RunKey, chunk: Chunk, bytes: Buffer): void {
    const attempt = this.find(key);
    if (attempt) attempt.whenReady(() => this.output.take(attempt, chunk, bytes));
    // Nobody will store it: unacknowledged it would hold up the run's end, and others.
    else if (!chunk.live) this.launcher().ack(key, chunk.seq);
  }

  onVoice(key: RunKey, said: Record<string, unknown>): void {
    const attempt = this.find(key);
    if (attempt) attempt.whenReady(() => this.voice.hear(attempt, said));
  }

  onRefused(refused: Refused): void {
    const attempt = this.find(refused.key);
    const exitCode = exitCodes[refused.code] ?? null;
    if (attempt) attempt.whenReady(() => this.finish(attempt, ended({ exitCode, error: refused.text })));
    else this.launcher().forget(refused.key);
  }

  onClosed(closed: Closed): void {
    const attempt = this.find(closed.key);
    if (!attempt) return this.launcher().forget(closed.key);
    attempt.whenReady(() => {
      void (async () => {
        await this.output.settled(attempt);
        await this.voice.settled(attempt);
        const { exitCode, signal, killed, survivors, error } = closed;
        const output = attempt.summary(closed.bytes);
        this.finish(attempt, ended({ exitCode, signal, killed, survivors, error: error?.text ?? null, output }));
      })();
    });
  }

  find(key: RunKey): Attempt | undefined {
    return typeof key === 'string' ? undefined : this.attempts.get(keyOf({ ...key, epoch: String(key.epoch) }));
  }

  /** Forgets an attempt that turned out not to be ours, with nothing to record. */
  drop(attempt: Attempt): void {
    if (!this.attempts.delete(attempt.key)) return;
    const held = !attempt.ending;
    this.voice.forget(attempt);
    this.context.metrics.running.set(this.attempts.size);
    if (attempt.order?.sent) this.launcher().forget(attempt.launcherKey);
    if (held) this.release(attempt);
  }

  /** Its processes are over: the slot is free before its end is recorded, and a claim shares the flush that records it. */
  private release(attempt: Attempt): void {
    attempt.ending = true;
    if (attempt.weighs) this.heavy--;
    this.on.freed(attempt.weighs);
  }

  private async untilRecorded(attempt: Attempt, record: () => ReturnType<typeof report>): Promise<void> {
    for (let pause = 100; ; pause = Math.min(2 * pause, 2_000)) {
      try {
        await attempt.inTurn(record);
        return this.drop(attempt);
      } catch (err) {
        if (err instanceof Refusal && err.kind === 'not-found') return this.drop(attempt);
        this.trouble(err, `the end of run ${attempt.claimed.run} is recorded again later`);
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  }

  private trouble(err: unknown, what: string): void {
    this.context.log.warn({ err }, what);
  }
}
