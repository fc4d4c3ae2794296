/** The shapes that travel, the same on both transports. */
import { Refusal, type RefusalShape } from '#domain';
import { type PayloadStore } from './payloads.js';
import { type Request } from './subject.js';
import { type Carried } from './wire.js';

/** NATS refuses 1 MiB; well below it, a message does not hold up its neighbours. */
export const largestMessage = 256 * 1024;

/** A bug in another service: its own log has the error, under this correlation id. */
export class RemoteBug extends Error {
  constructor(readonly correlationId: string) {
    super(`A service failed; its log tells why (${correlationId})`);
    this.name = 'RemoteBug';
  }
}

/** Bytes from the bus that this code did not write. */
export class Malformed extends Error {
  constructor() {
    super('A malformed message came over the bus');
    this.name = 'Malformed';
  }
}

export function isLarge(text: string): boolean {
  if (text.length * 3 <= largestMessage) return false;
  return text.length > largestMessage || Buffer.byteLength(text) > largestMessage;
}

/** What goes on the wire: a large text is left in the store and only named. */
export async function seal(carried: Carried, payloads: PayloadStore): Promise<Carried> {
  return typeof carried === 'string' && isLarge(carried)
    ? JSON.stringify({ ref: await payloads.put(carried) })
    : carried;
}

export type Answer = { ok: unknown } | { refusal: RefusalShape } | { bug: string };

export async function openRequest(carried: Carried, payloads: PayloadStore): Promise<Request<unknown>> {
  const frame = await open(carried, payloads);
  const { meta } = frame;
  if (!isRecord(meta) || typeof meta.correlationId !== 'string' || typeof meta.actor !== 'string')
    throw new Malformed();
  return frame as unknown as Request<unknown>;
}

/** The answer, or what the other side threw. */
export async function openAnswer(carried: Carried, payloads: PayloadStore): Promise<unknown> {
  const frame = await open(carried, payloads);
  if (typeof frame.bug === 'string') throw new RemoteBug(frame.bug);
  if (isRecord(frame.refusal)) throw Refusal.from(frame.refusal as unknown as RefusalShape);
  return frame.ok;
}

export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Malformed();
  }
}

let lastBell: { text: string; value: unknown } = { text: 'null', value: null };

/** A bell's text as its data. All who listen in one process hear the same text: it is parsed once and must not be changed. */
export function parseBell(text: string): unknown {
  if (text !== lastBell.text) lastBell = { text, value: parse(text) };
  return lastBell.value;
}

async function open(carried: Carried, payloads: PayloadStore): Promise<Record<string, unknown>> {
  if (typeof carried === 'object') return carried as Record<string, unknown>;
  const frame = parse(carried);
  if (!isRecord(frame)) throw new Malformed();
  if (typeof frame.ref !== 'string') return frame;
  const whole = parse(await payloads.take(frame.ref));
  if (!isRecord(whole)) throw new Malformed();
  return whole;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
