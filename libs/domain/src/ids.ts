import { v5, v7 } from 'uuid';

const space = '6f1d2c1e-93d4-5c63-9a53-0d5b7a7f6a11';

/** A time-ordered id for something new. */
export const newId = (): string => v7();

/** The same words give the same id, everywhere and for ever. */
export const derivedId = (...words: string[]): string => v5(words.join('\n'), space);

/** The id of an order's event number `index`: a repeat of the order is recognised by it. */
export const eventId = (commandId: string, index: number): string => derivedId('event', commandId, String(index));

/** A scheduled run's id: one process and one due instant make one run, whoever computes it. */
export const scheduledRunId = (processId: string, instant: string): string => derivedId('fire', processId, instant);

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
export const isId = (value: string): boolean => shape.test(value);

/** `run-<uuid>` -> its two parts. */
export function streamParts(stream: string): { category: string; id: string } {
  const dash = stream.indexOf('-');
  return { category: stream.slice(0, dash), id: stream.slice(dash + 1) };
}
