import { type CustomTransportStrategy } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { Calls } from './calls.js';
import { BusClient } from './client.js';
import { isLarge, largestMessage, Malformed, parseBell } from './envelope.js';
import { InProcessExchange, InProcessWire } from './in-process.js';
import { NatsWire } from './nats.js';
import { type BusCounts, type BusOptions, type BusPorts, portsOf } from './options.js';
import { BusServer } from './server.js';
import { type Bell, type CallMeta, heardAt, type Request, rungAt, type Subject } from './subject.js';
import { isBusDown } from './unavailable.js';
import { type Carried, type Wire } from './wire.js';

export interface BusStats extends BusCounts {
  connected: boolean;
  /** nats-server's; null in-process and until connected. */
  version: string | null;
  /** Handlers running now. */
  inFlight: number;
}

/** How services speak: commands and queries are answered, bells are heard by whoever is there. */
export class Bus {
  private readonly client: BusClient;
  private readonly strategy: BusServer;

  constructor(
    private readonly wire: Wire,
    private readonly calls: Calls,
    private readonly ports: BusPorts,
  ) {
    this.client = new BusClient(wire, calls, ports);
    this.strategy = new BusServer(wire, ports);
  }

  get kind(): 'in-process' | 'nats' {
    return this.wire.kind;
  }

  /** Over NATS it waits until there is a server; it fails only when the server refuses this user. */
  async connect(): Promise<void> {
    await this.wire.connect();
  }

  /** Drains, then disconnects. Calls of this side that still wait are refused. */
  async close(): Promise<void> {
    await this.strategy.close();
    this.client.close();
    await this.wire.close();
  }

  /** One for the whole process: `app.connectMicroservice({ strategy: bus.server() })`. */
  server(): CustomTransportStrategy {
    return this.strategy;
  }

  stats(): BusStats {
    return { ...this.wire.stats(), ...this.ports.counts, inFlight: this.strategy.inFlight };
  }

  /** Questions and commands of this side that wait for their answer. */
  get unanswered(): number {
    return this.calls.count;
  }

  async send<Q, A>(subject: Subject<Q, A>, data: NoInfer<Q>, meta: CallMeta): Promise<A> {
    const request = this.wire.carry({ data, meta } satisfies Request<Q>);
    const answer = this.client.send<A, Carried>(subject, request);
    return lastValueFrom(answer, { defaultValue: undefined as A });
  }

  /** Never throws: what it tells is already committed, and whoever misses it reads the ledger. */
  ring<T>(bell: Bell<T>, data: NoInfer<T>, suffix?: string): void {
    try {
      const text = JSON.stringify(data) ?? 'null';
      if (isLarge(text)) throw new RangeError(`A bell carries ${largestMessage} bytes at most: trim it before`);
      this.wire.publish(this.ports.wireName(rungAt(bell, suffix)), text);
    } catch (error) {
      this.bellFailed(error, bell.name);
    }
  }

  /** Without a suffix, a suffixed bell is heard for every suffix. The returned function stops it. */
  listen<T>(bell: Bell<T>, handler: (data: T) => void | Promise<void>, suffix?: string): () => void {
    const hear = async (text: string) => {
      try {
        await handler(parseBell(text) as T);
      } catch (error) {
        this.bellFailed(error, bell.name);
      }
    };
    return this.wire.listen(this.ports.wireName(heardAt(bell, suffix)), (text) => void hear(text));
  }

  private bellFailed(error: unknown, name: string): void {
    if (error instanceof Malformed) this.ports.counts.malformed++;
    else this.ports.counts.bellErrors++;
    // The lost connection has been told once; each bell that it swallows would fill the log.
    if (!isBusDown(error)) this.ports.onError(error, name);
  }
}

export interface InProcessOptions extends BusOptions {
  /** Joins several buses of one process; without it the bus is alone, as in solo. */
  exchange?: InProcessExchange;
}

export function createInProcessBus(options: InProcessOptions): Bus {
  const calls = new Calls();
  return new Bus(new InProcessWire(options.exchange ?? new InProcessExchange(), calls), calls, portsOf(options));
}

export function createNatsBus(url: string, options: BusOptions): Bus {
  const calls = new Calls();
  const ports = portsOf(options);
  return new Bus(new NatsWire(url, calls, ports), calls, ports);
}
