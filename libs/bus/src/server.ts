import { BaseRpcContext, type CustomTransportStrategy, type MessageHandler, Server } from '@nestjs/microservices';
import { isObservable, lastValueFrom } from 'rxjs';
import { Refusal, type RefusalShape } from '#domain';
import { bounded } from './bounded.js';
import { correlation } from './correlation.js';
import { type Answer, Malformed, openRequest, seal } from './envelope.js';
import { type BusPorts } from './options.js';
import { type Request } from './subject.js';
import { type Carried, type Wire } from './wire.js';

const DRAIN_MS = 10_000;

type Respond = (carried: Carried) => void;

/** Nest's server over either wire: `@Answers` methods are its handlers. */
export class BusServer extends Server implements CustomTransportStrategy {
  override readonly transportId = Symbol('runledger-bus');
  private readonly stops = new Map<string, () => Promise<void>>();
  private readonly running = new Set<Promise<void>>();

  constructor(
    private readonly wire: Wire,
    private readonly ports: BusPorts,
  ) {
    super();
  }

  get inFlight(): number {
    return this.running.size;
  }

  override addHandler(pattern: string, handler: MessageHandler, isEvent = false, extras: Record<string, unknown> = {}) {
    if (isEvent) throw new Error(`${pattern}: bells are heard with Bus.listen`);
    if (this.messageHandlers.has(pattern)) throw new Error(`Two handlers answer ${pattern}`);
    super.addHandler(pattern, handler, false, extras);
  }

  async listen(callback: (error?: unknown) => void): Promise<void> {
    try {
      await this.wire.connect();
      for (const [pattern, handler] of this.messageHandlers) this.serve(pattern, handler);
      await this.wire.settled();
    } catch (error) {
      return callback(error);
    }
    callback();
  }

  /** Takes no more requests, then waits for those under way; idle, it waits for nothing. */
  async close(): Promise<void> {
    const stops = [...this.stops.values()];
    this.stops.clear();
    await Promise.all(stops.map((stop) => stop()));
    const inTime = await bounded(Promise.all(this.running), DRAIN_MS);
    if (!inTime) this.ports.log.warn({ running: this.running.size }, 'Handlers still run after the drain');
  }

  on(): void {
    throw new Error('The bus has no transport events; see Bus.stats');
  }

  unwrap<T>(): T {
    return this.wire as T;
  }

  private serve(pattern: string, handler: MessageHandler): void {
    if (this.stops.has(pattern)) return;
    const group = String(handler.extras?.group ?? this.ports.service);
    const handle = (carried: Carried, respond: Respond) => {
      const work = this.handle(pattern, handler, carried, respond).catch((error) => this.ports.onError(error, pattern));
      this.running.add(work);
      void work.then(() => this.running.delete(work));
    };
    this.stops.set(pattern, this.wire.serve(this.ports.wireName(pattern), group, handle));
  }

  private async handle(pattern: string, handler: MessageHandler, carried: Carried, respond: Respond): Promise<void> {
    let request: Request<unknown>;
    try {
      request = await openRequest(carried, this.ports.payloads);
    } catch (error) {
      return respond(this.wire.carry({ refusal: this.unreadable(error) } satisfies Answer));
    }
    respond(await correlation.run(request.meta.correlationId, () => this.answer(pattern, handler, request)));
  }

  private unreadable(error: unknown): RefusalShape {
    if (!(error instanceof Malformed)) return refusalOf(error);
    this.ports.counts.malformed++;
    return { kind: 'malformed', code: 'BUS_MALFORMED', message: error.message };
  }

  private async answer(pattern: string, handler: MessageHandler, request: Request<unknown>): Promise<Carried> {
    const { correlationId } = request.meta;
    try {
      const answer: Answer = await this.call(pattern, handler, request).then(
        (ok) => ({ ok }),
        (error: unknown) => ({ refusal: refusalOf(error) }),
      );
      return await seal(this.wire.carry(answer), this.ports.payloads);
    } catch (error) {
      if (error instanceof Refusal) return this.wire.carry({ refusal: error.toJSON() } satisfies Answer);
      this.ports.onBug(error, correlationId);
      return this.wire.carry({ bug: correlationId } satisfies Answer);
    }
  }

  /** Between Nest's processing hooks, like its own transports, so that its instrumentation sees the call. */
  private call(pattern: string, handler: MessageHandler, request: Request<unknown>): Promise<unknown> {
    const context = new BaseRpcContext([pattern]);
    return new Promise((resolve, reject) => {
      this.runWithProcessingHooks(context, async (ended) => {
        try {
          const answer: unknown = await handler(request, context);
          resolve(isObservable(answer) ? await lastValueFrom(answer, { defaultValue: undefined }) : answer);
        } catch (error) {
          reject(error);
        } finally {
          ended();
        }
      });
    });
  }
}

/** Only a refusal is for the caller's eyes. */
function refusalOf(error: unknown): RefusalShape {
  if (error instanceof Refusal) return error.toJSON();
  throw error;
}
