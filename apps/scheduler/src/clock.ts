import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { bells } from '#bus';
import {
  derivedId,
  fold,
  newId,
  parseCron,
  type Process,
  type ProcessEvent,
  process,
  Refusal,
  scheduledRunId,
  type ScheduleEvent,
} from '#domain';
import { birth, Rescuer } from '#admission';
import { handle, type Verdict } from '#ledger';
import { Context, systemMeta } from '#service';
import { decide, type Decision } from './due.js';
import { resumeOrdinal, timersAfter, type Definition } from './timers.js';

interface Row {
  process_id: string;
  ordinal: number;
  version: number;
  expression: string | null;
  zone: string | null;
  watermark: Date | string;
  definition: Definition;
  now: Date | string;
}

const poll = 1_000;
const page = 500;
const rescueEvery = 2_000;

/**
 * Fires what is due. All schedulers are equal: a fire's id is made of its process and instant, so whoever is second
 * finds it done; the watermark moves only forward, and only once every instant up to it is decided.
 */
@Injectable()
export class Clock implements OnApplicationBootstrap, OnApplicationShutdown {
  private stopping = false;
  private loop: Promise<void> = Promise.resolve();
  private wakeUp: (() => void) | null = null;
  private rung = false;
  private unlisten = () => {};
  private timer: NodeJS.Timeout;

  constructor(private readonly context: Context) {}

  onApplicationBootstrap(): void {
    const { bus, ledger, log } = this.context;
    const rescuer = new Rescuer(ledger, (run, reason) => log.warn({ run, reason }, 'run lost'));
    this.loop = this.run();
    this.unlisten = bus.listen(bells.flushed, ({ types }) => {
      if (types.some((type) => type.startsWith('Process'))) this.wake();
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
    this.wakeUp?.();
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
      else if (wait > 0) await this.sleep(wait);
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Does what is due by the database's clock; answers how long nothing more is. */
  private async tick(): Promise<number> {
    const { pool } = this.context;
    const next = await pool.query<{ wait: number | null }>({
      name: 'timer-next',
      text: 'select (extract(epoch from min(next_at) - clock_timestamp()) * 1000)::float8 as wait from timer where next_at is not null',
    });
    const wait = next.rows[0]?.wait ?? poll;
    if (wait > 0) return Math.min(poll, wait + 1);
    const text = `select process_id, ordinal, version, expression, zone, watermark, definition, clock_timestamp() as now
      from timer where next_at <= clock_timestamp() order by next_at limit ${page}`;
    const { rows } = await pool.query<Row>({ name: 'timer-due', text });
    const done = await Promise.all(rows.map((row) => this.due(row)));
    if (done.includes(false)) return poll;
    return 0;
  }

  /** False when it has to be tried again. */
  private async due(row: Row): Promise<boolean> {
    try {
      return row.ordinal === resumeOrdinal ? await this.resume(row) : await this.fire(row);
    } catch (err) {
      this.trouble(err, row.process_id);
      if (!(err instanceof Refusal)) await this.postpone(row).catch((error: unknown) => this.trouble(error));
      return false;
    }
  }

  /** What cannot be fired steps aside for a while, so that it neither spins nor stands before others. Its watermark stays. */
  private async postpone({ process_id, ordinal, version }: Row): Promise<void> {
    const text = `update timer set next_at = clock_timestamp() + interval '1 minute'
      where process_id = $1 and ordinal = $2 and version = $3`;
    await this.context.pool.query(text, [process_id, ordinal, version]);
  }

  /** Ends the pause that the timer was set for, and no other: somebody may have said otherwise since. */
  private async resume({ process_id: id, version }: Row): Promise<boolean> {
    const { ledger } = this.context;
    const history = await ledger.read(`process-${id}`);
    const { until } = fold(process, history as unknown as ProcessEvent[]);
    if (history.length !== version || until === null) return false;
    const meta = systemMeta(derivedId('resume', id, String(version)), newId());
    const order = { type: 'EnableProcess' as const, meta, data: { any: true, onlyUntil: until } };
    const alongside = (events: ProcessEvent[], state: Process, at: number) => timersAfter(id, state, at, events);
    const { events } = await handle(ledger, process, id, order, { alongside });
    return events.length > 0;
  }

  private async fire(row: Row): Promise<boolean> {
    const { ledger, log } = this.context;
    const schedule = parseCron(row.expression!, row.zone!);
    const decision = decide(schedule, new Date(row.watermark), new Date(row.now), row.definition.policies);
    const advance = this.advance(row, decision);
    const appends = decision.fires.map((instant, i) =>
      this.birthOf(row, instant, i === decision.fires.length - 1 && !decision.missed ? advance : null),
    );
    const numbered = await Promise.all(appends.map(async (make) => make(await ledger.number('run'))));
    const answers = await Promise.all(numbered.map((append) => ledger.append(append)));
    if (answers.some(({ verdict }) => isStale(verdict))) return false;
    const last = answers.at(-1)?.verdict.verdict;
    for (const instant of decision.fires) log.debug({ process: row.process_id, instant }, 'fired');
    if (decision.missed) await this.recordMissed(row, decision.missed);
    if (last !== 'appended' || decision.missed) await ledger.call({ timer_advance: [advance] });
    return true;
  }

  /** Before the watermark moves over them: an instant that did not fire says why. */
  private async recordMissed(
    { process_id: id, ordinal, expression }: Row,
    missed: NonNullable<Decision['missed']>,
  ): Promise<void> {
    const { ledger, log } = this.context;
    const meta = systemMeta(derivedId('missed', id, String(ordinal), missed.first), newId());
    const data = {
      process: id,
      trigger: ordinal,
      expression: expression ?? '',
      ...missed,
      reason: 'missed while nothing ran',
    };
    const event: ScheduleEvent = { type: 'ScheduleFiresMissed', data };
    await ledger.append({ stream: `schedule-${id}`, expected: null, events: [event], meta });
    log.warn({ process: id, ...missed }, 'due instants were missed');
  }

  private advance({ process_id, ordinal, version }: Row, { watermark, next }: Decision): object {
    return { process: process_id, ordinal, version, watermark, nextAt: next };
  }

  private birthOf({ process_id: id, version, definition }: Row, instant: string, advance: object | null) {
    const runId = scheduledRunId(id, instant);
    const { number, name, revision, action, policies, owner } = definition;
    const of = { id, number, name, revision };
    return (runNumber: number) => {
      const meta = systemMeta(derivedId('fire', id, instant), runId);
      const born = { number: runNumber, name, process: of, action, policies, owner, scheduledFor: instant };
      const append = birth(runId, { ...born, batch: null, retryOf: null, parameters: null, payload: null }, meta);
      const alongside = advance ? { ...append.alongside, timer_advance: [advance] } : append.alongside!;
      return { ...append, alongside, requires: [{ stream: `process-${id}`, version }] };
    };
  }

  private trouble(err: unknown, id?: string): void {
    this.context.log.warn({ err, ...(id ? { process: id } : {}) }, 'the clock tries again');
  }
}

/** The process has changed since its timer was read: its rows are new by now, the next tick reads them. */
const isStale = ({ verdict }: Verdict) => verdict === 'stale' || verdict === 'conflict';
