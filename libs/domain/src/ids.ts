import { hash, randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const space = '6f1d2c1e-93d4-5c63-9a53-0d5b7a7f6a11';

/** Random bytes for 256 ids at once: asking the system for each would cost more than the id. */
const noise = new Uint8Array(16 * 256);
let used = noise.length;
const newest = { msecs: 0, seq: 0 };
const bytes = Buffer.alloc(16);

/** A time-ordered id for something new (UUID version 7): later ids of one process are greater, within a millisecond too. */
export function newId(): string {
  if (used === noise.length) {
    randomFillSync(noise);
    used = 0;
  }
  const random = noise.subarray(used, (used += 16));
  const now = Date.now();
  if (now > newest.msecs) {
    newest.msecs = now;
    newest.seq = ((random[6]! & 0x7f) << 24) | (random[7]! << 16) | (random[8]! << 8) | random[9]!;
  } else newest.seq++;
  v7({ random, msecs: newest.msecs, seq: newest.seq }, bytes);
  return dashed(bytes.toString('hex'));
}

/** Cut from one text: put together byte by byte it would take longer than all the rest. */
const dashed = (h: string) =>
  `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20, 32)}`;

/** The same words give the same id, everywhere and for ever. */
export const derivedId = (...words: string[]): string => named(words.join('\n'));

/**
 * The id of an order's event number `index`, by which a repeat of the order is recognised: the order's own id, counted up in
 * its last 16 bits, which are random or a hash.
 */
export function eventId(commandId: string, index: number): string {
  if (index === 0) return commandId;
  const last = (Number.parseInt(commandId.slice(32), 16) + index) & 0xffff;
  return commandId.slice(0, 32) + last.toString(16).padStart(4, '0');
}

/** A scheduled run's id: one process and one due instant make one run, whoever computes it. */
export const scheduledRunId = (processId: string, instant: string): string => derivedId('fire', processId, instant);

const prefix = Buffer.from(space.replaceAll('-', ''), 'hex');

/** UUID version 5 (RFC 9562, 5.5) in one native call: an id is derived for each event, and `uuid`'s own takes four times as long. */
function named(name: string): string {
  const h = hash('sha1', Buffer.concat([prefix, Buffer.from(name)]), 'hex');
  const variant = ((Number.parseInt(h[16]!, 16) & 3) | 8).toString(16);
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-5${h.slice(13, 16)}-${variant}${h.slice(17, 20)}-${h.slice(20, 32)}`;
}

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
export const isId = (value: string): boolean => shape.test(value);

/** `run-<uuid>` -> its two parts. */
export function streamParts(stream: string): { category: string; id: string } {
  const dash = stream.indexOf('-');
  return { category: stream.slice(0, dash), id: stream.slice(dash + 1) };
}
