import { setTimeout as pass } from 'node:timers/promises';
import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { bells } from '#bus';
import {
  CronError,
  derivedId,
  fold,
  newId,
  pauseAt,
  type Process,
  type ProcessCommand,
  type ProcessEvent,
  process,
  Refusal,
} from '#domain';
import { Rescuer } from '#admission';
import { handle, Nap } from '#ledger';
import { Context, systemMeta } from '#service';
import { fire, type DueTimer } from './fire.js';
import { readPause, Standing } from './standing.js';
import { resumeOrdinal, timersAfter } from './timers.js';

const poll = 1_000;
const page = 500;
/** So many are decided at once, then for some milliseconds others have their turn: what is due by the thousand must not hold up who looks at a list. */
const slice = 20;
const breath = 2;
const rescueEvery = 2_000;
/** Events that may bring an instant forward. */
const wakers = /^(Process|Pause|Calendar|User(Re|Role))/;

const nextText = `select (extract(epoch from min(next_at) - clock_timestamp()) * 1000)::float8 as wait, clock_timestamp() as now
  from timer where next_at is not null`;
const dueText = `select process_id, ordinal, version, trigger, watermark, definition, clock_timestamp() as now,
    coalesce((select e.version from event e where e.stream = ('schedule-' || process_id) collate "C" order by e.version desc limit 1), 0) as told
  from timer where next_at <= clock_timestamp() and (ordinal = ${resumeOrdinal} or not $1) order by next_at limit ${page}`;

/**
 * Fires what is due. All schedulers are equal: a fire's id is made of its process and instant, so whoever is second
 * finds it done; the watermark moves only forward, and only once every instant up to it is decided.
 */
@Injectable()
export class Clock implements OnApplicationBootstrap, OnApplicationShutdown {
  private stopping = false;
  private loop: Promise<void> = Promise.resolve();
  private readonly nap = new Nap();
  private rung = false;
  private unlisten = () => {};
  private timer: NodeJS.Timeout;

  constructor(private readonly context: Context) {}

  onApplicationBootstrap(): void {
    const { bus, ledger, log } = this.context;
    const rescuer = new Rescuer(ledger, (run, reason) => log.warn({ run, reason }, 'run lost'));
    this.loop = this.run();
    log.info('schedules are kept here');
    this.unlisten = bus.listen(bells.flushed, ({ types }) => {
      if (types.some((type) => wakers.test(type))) this.wake();
    });
    this.timer = setInterval(() => void rescuer.sweep(true).catch((err: unknown) => this.trouble(err)), rescueEvery);
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping = true;
    this.unlisten();
    clearInterval(this.timer);
    this.wake();
    await this.loop;
  }

  private wake(): void {
    this.rung = true;
    this.nap.wake();
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      let wait = poll;
      try {
        wait = await this.tick();
      } catch (err) {
        this.trouble(err);
      }
      if (this.rung) this.rung = false;
      else if (wait > 0) await this.nap.take(wait);
    }
  }

  /** Does what is due by the database's clock; answers how long nothing more is. */
  private async tick(): Promise<number> {
    const { pool, ledger } = this.context;
    const next = await pool.query<{ wait: number | null; now: Date }>({ name: 'timer-next', text: nextText });
    const { wait, now } = next.rows[0]!;
    if (wait === null || wait > 0) return Math.min(poll, (wait ?? poll) + 1);
    const pause = await readPause(ledger);
    // What falls due in a pause is decided when it is over, by its end.
    const paused = pauseAt(pause.state, new Date(now).toISOString()) !== null;
    const { rows } = await pool.query<DueTimer>({ name: 'timer-due', text: dueText, values: [paused] });
    if (rows.length === 0) return poll;
    const definitions = rows.map(({ definition }) => definition);
    const standing = await Standing.read(ledger, pause, definitions);
    const done: Promise<boolean>[] = [];
    for (let from = 0; from < rows.length; from += slice) {
      if (from > 0) await pass(breath);
      done.push(...rows.slice(from, from + slice).map((row) => this.due(row, standing)));
    }
    return (await Promise.all(done)).includes(false) ? poll : 0;
  }

  /** False when it has to be tried again. */
  private async due(row: DueTimer, standing: Standing): Promise<boolean> {
    try {
      return row.ordinal === resumeOrdinal ? await this.resume(row) : await fire(this.context, row, standing);
    } catch (err) {
      this.trouble(err, row.process_id);
      if (err instanceof CronError && (await this.halt(row, err))) return true;
      if (!(err instanceof Refusal)) await this.postpone(row).catch((error: unknown) => this.trouble(error));
      return false;
    }
  }

  /** A schedule that cannot be computed, or stands still, would never fire or start runs without end: its process is paused and says why. */
  private async halt({ process_id: id, version }: DueTimer, error: CronError): Promise<boolean> {
    const meta = systemMeta(derivedId('halt', id, String(version)), newId());
    const reason = `its schedule cannot be computed: ${error.message}`;
    try {
      await this.order(id, { type: 'DisableProcess', meta, data: { any: true, reason, until: null } });
      return true;
    } catch (refusal) {
      if (refusal instanceof Refusal) return false;
      throw refusal;
    }
  }

  /** What cannot be fired steps aside for a while, so that it neither spins nor stands before others. Its watermark stays. */
  private async postpone({ process_id, ordinal, version }: DueTimer): Promise<void> {
    const text = `update timer set next_at = clock_timestamp() + interval '1 minute'
      where process_id = $1 and ordinal = $2 and version = $3`;
    await this.context.pool.query(text, [process_id, ordinal, version]);
  }

  /** Ends the pause that the timer was set for, and no other: somebody may have said otherwise since. */
  private async resume({ process_id: id, version }: DueTimer): Promise<boolean> {
    const { ledger } = this.context;
    const history = await ledger.read(`process-${id}`);
    const { until } = fold(process, history as unknown as ProcessEvent[]);
    if (history.length !== version || until === null) return false;
    const meta = systemMeta(derivedId('resume', id, String(version)), newId());
    const { events } = await this.order(id, { type: 'EnableProcess', meta, data: { any: true, onlyUntil: until } });
    return events.length > 0;
  }

  private order(id: string, order: ProcessCommand) {
    const alongside = (_: ProcessEvent[], state: Process, at: number) => timersAfter(id, state, at);
    return handle(this.context.ledger, process, id, order, { alongside });
  }

  private trouble(err: unknown, id?: string): void {
    this.context.log.warn({ err, ...(id ? { process: id } : {}) }, 'the clock tries again');
  }
}
