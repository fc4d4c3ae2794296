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
export function seal(carried: Carried, payloads: PayloadStore): Carried | Promise<Carried> {
  return typeof carried === 'string' && isLarge(carried)
    ? payloads.put(carried).then((ref) => JSON.stringify({ ref }))
    : carried;
}

export type Answer = { ok: unknown } | { refusal: RefusalShape } | { bug: string };

/** An object is open as it is: nothing is waited for. */
export function openRequest(carried: Carried, payloads: PayloadStore): Request<unknown> | Promise<Request<unknown>> {
  return typeof carried === 'object' ? requestIn(carried as Frame) : read(carried, payloads).then(requestIn);
}

/** The answer, or what the other side threw. */
export function openAnswer(carried: Carried, payloads: PayloadStore): unknown {
  return typeof carried === 'object' ? answerIn(carried as Frame) : read(carried, payloads).then(answerIn);
}

type Frame = Record<string, unknown>;

function requestIn(frame: Frame): Request<unknown> {
  const { meta } = frame;
  if (!isRecord(meta) || typeof meta.correlationId !== 'string' || typeof meta.actor !== 'string')
    throw new Malformed();
  return frame as unknown as Request<unknown>;
}

function answerIn(frame: Frame): unknown {
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

async function read(text: string, payloads: PayloadStore): Promise<Frame> {
  const frame = parse(text);
  if (!isRecord(frame)) throw new Malformed();
  if (typeof frame.ref !== 'string') return frame;
  const whole = parse(await payloads.take(frame.ref));
  if (!isRecord(whole)) throw new Malformed();
  return whole;
}

function isRecord(value: unknown): value is Frame {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
