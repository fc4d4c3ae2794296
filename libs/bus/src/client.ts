import { ClientProxy, type ReadPacket, type WritePacket } from '@nestjs/microservices';
import { Observable } from 'rxjs';
import { type Calls, type Outcome } from './calls.js';
import { Malformed, openAnswer, seal } from './envelope.js';
import { type BusPorts } from './options.js';
import { type AnySubject } from './subject.js';
import { busDown } from './unavailable.js';
import { type Carried, type Wire } from './wire.js';

type Callback = (packet: WritePacket) => void;

/** Nest's client over either wire. Its patterns are `Subject`s, its data `Request`s as they are carried. */
export class BusClient extends ClientProxy {
  constructor(
    private readonly wire: Wire,
    private readonly calls: Calls,
    private readonly ports: BusPorts,
  ) {
    super();
  }

  /** The bus itself connects; a call never waits for it. */
  async connect(): Promise<void> {}

  /** Nest's own asks for a connection first, in four steps that nobody needs here. */
  override send<A, Q>(subject: AnySubject, request: Q): Observable<A> {
    return new Observable<A>((observer) => {
      if (!this.wire.stats().connected) return observer.error(busDown());
      return this.publish(this.createPacket(subject, request as Carried), this.createObserver(observer));
    });
  }

  close(): void {
    this.calls.failAll(busDown);
  }

  unwrap<T>(): T {
    return this.wire as T;
  }

  protected override publish(packet: ReadPacket<Carried>, callback: Callback): () => void {
    const subject: AnySubject = packet.pattern;
    const wireName = this.ports.wireName(subject.name);
    const timeoutMs = subject.timeoutMs ?? this.ports.defaultTimeoutMs;
    const id = this.calls.open(subject, wireName, timeoutMs, (outcome) => void this.answer(outcome, callback));
    void this.carry(id, wireName, packet.data);
    return () => undefined;
  }

  protected override dispatchEvent<T>(): Promise<T> {
    throw new Error('Events are rung with Bus.ring');
  }

  private async carry(id: number, wireName: string, request: Carried): Promise<void> {
    try {
      const sealed = await seal(request, this.ports.payloads);
      if (this.calls.isOpen(id)) this.wire.request(wireName, sealed, id);
    } catch (error) {
      this.calls.settle(id, error instanceof Error ? error : new Error(String(error)));
    }
  }

  private async answer(outcome: Outcome, callback: Callback): Promise<void> {
    if (outcome instanceof Error) return callback({ err: outcome });
    try {
      callback({ response: await openAnswer(outcome, this.ports.payloads), isDisposed: true });
    } catch (err) {
      if (err instanceof Malformed) this.ports.counts.malformed++;
      callback({ err });
    }
  }
}
