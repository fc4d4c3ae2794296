import { type PayloadStore } from './payloads.js';
import { type ServiceName } from './subject.js';
import { payloadLost } from './unavailable.js';

/** A pino logger is one. */
export interface BusLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface BusOptions {
  /** Also the queue group and the inbox. Solo, where one bus serves all five, any of them will do. */
  service: ServiceName;
  payloads: PayloadStore;
  /** A test stack's own space: prefixes every subject. */
  prefix?: string;
  defaultTimeoutMs?: number;
  log?: BusLog;
  /** What went wrong where nobody waits for an answer: a bell, its handler, the connection. */
  onError?: (error: unknown, where: string) => void;
  /** What a handler threw that is no Refusal; the caller sees no more of it than the correlation id. */
  onBug?: (error: unknown, correlationId: string) => void;
}

export interface BusCounts {
  /** Inbound messages that were no messages. */
  malformed: number;
  /** Bells that could not be rung, and handlers of bells that failed. */
  bellErrors: number;
}

/** The options with every default filled in, and what is counted. */
export interface BusPorts {
  service: ServiceName;
  payloads: PayloadStore;
  defaultTimeoutMs: number;
  log: BusLog;
  onError: (error: unknown, where: string) => void;
  onBug: (error: unknown, correlationId: string) => void;
  counts: BusCounts;
  /** A subject's name on this bus's wire. */
  wireName: (name: string) => string;
}

const silent: BusLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

export function portsOf(options: BusOptions): BusPorts {
  const { service, prefix, defaultTimeoutMs = 2000, log = silent } = options;
  const onError = options.onError ?? ((err, where) => log.error({ err, where }, 'The bus met an error'));
  return {
    service,
    payloads: guarded(options.payloads, onError),
    defaultTimeoutMs,
    log,
    onError,
    onBug: options.onBug ?? ((err, correlationId) => log.error({ err, correlationId }, 'A handler failed')),
    counts: { malformed: 0, bellErrors: 0 },
    wireName: prefix ? (name) => `${prefix}.${name}` : (name) => name,
  };
}

/** The store's own failure is for the log; the caller is told that it may try again. */
function guarded(store: PayloadStore, onError: BusPorts['onError']): PayloadStore {
  const guard = async (work: Promise<string>) => {
    try {
      return await work;
    } catch (error) {
      onError(error, 'payloads');
      throw payloadLost();
    }
  };
  return { put: (text) => guard(store.put(text)), take: (id) => guard(store.take(id)) };
}
