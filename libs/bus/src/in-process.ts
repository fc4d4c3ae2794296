import { AsyncLocalStorage } from 'node:async_hooks';
import { type Calls } from './calls.js';
import { jsonCopy } from './json-copy.js';
import { busDown } from './unavailable.js';
import { type Carried, type RequestHandler, type Wire } from './wire.js';

type Hear = (text: string) => void;

interface Group {
  members: RequestHandler[];
  next: number;
}

/** Stands where nats-server would: joins the buses of one process. */
export class InProcessExchange {
  private readonly groups = new Map<string, Group>();
  private readonly ears = new Map<string, Set<Hear>>();
  private queue: (() => void)[] = [];
  /** Handlers must not inherit the caller's async context (its entity manager, say): over NATS they would not. */
  private readonly outside = AsyncLocalStorage.snapshot();

  serve(wireName: string, handle: RequestHandler): () => void {
    const group = this.groups.get(wireName) ?? { members: [], next: 0 };
    group.members.push(handle);
    this.groups.set(wireName, group);
    return () => {
      group.members = group.members.filter((member) => member !== handle);
    };
  }

  listen(wireName: string, hear: Hear): () => void {
    // Wrapped, so that the same function listening twice is two listeners.
    const ear: Hear = (text) => hear(text);
    const ears = this.ears.get(wireName) ?? new Set();
    this.ears.set(wireName, ears.add(ear));
    return () => {
      ears.delete(ear);
      if (ears.size === 0 && this.ears.get(wireName) === ears) this.ears.delete(wireName);
    };
  }

  request(wireName: string, carried: Carried, respond: (carried: Carried) => void, nobody: () => void): void {
    this.later(() => {
      const group = this.groups.get(wireName);
      const member = group?.members[group.next++ % group.members.length];
      if (member) member(carried, respond);
      else nobody();
    });
  }

  publish(wireName: string, text: string): void {
    this.later(() => {
      const anySuffix = wireName.slice(0, wireName.lastIndexOf('.')) + '.*';
      for (const name of [wireName, anySuffix]) for (const ear of [...(this.ears.get(name) ?? [])]) ear(text);
    });
  }

  /** In order, and never inside the caller's own turn; one turn of the loop carries all that gathered. */
  private later(deliver: () => void): void {
    if (this.queue.push(deliver) > 1) return;
    setImmediate(() => {
      const deliveries = this.queue;
      this.queue = [];
      this.outside(() => deliveries.forEach((each) => each()));
    });
  }
}

export class InProcessWire implements Wire {
  readonly kind = 'in-process';
  private connected = false;
  private readonly stops = new Set<() => void>();

  constructor(
    private readonly exchange: InProcessExchange,
    private readonly calls: Calls,
  ) {}

  async connect(): Promise<void> {
    this.connected = true;
  }

  async close(): Promise<void> {
    this.connected = false;
    for (const stop of this.stops) stop();
    this.stops.clear();
  }

  async settled(): Promise<void> {}

  stats() {
    return { connected: this.connected, version: null };
  }

  carry(value: object): object {
    return jsonCopy(value) as object;
  }

  request(wireName: string, carried: Carried, callId: number): void {
    if (!this.connected) return this.calls.settle(callId, busDown());
    this.exchange.request(
      wireName,
      carried,
      (reply) => this.calls.settle(callId, reply),
      () => this.calls.settleNobody(callId),
    );
  }

  publish(wireName: string, text: string): void {
    if (!this.connected) throw busDown();
    this.exchange.publish(wireName, text);
  }

  serve(wireName: string, _group: string, handle: RequestHandler): () => Promise<void> {
    const stop = this.exchange.serve(wireName, handle);
    return async () => stop();
  }

  listen(wireName: string, hear: Hear): () => void {
    const stop = this.exchange.listen(wireName, hear);
    this.stops.add(stop);
    return () => {
      this.stops.delete(stop);
      stop();
    };
  }
}
