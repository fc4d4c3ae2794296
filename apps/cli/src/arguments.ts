import { misuse } from './failure.js';
import { isId } from './shapes.js';

export const followOption = {
  follow: { type: 'boolean', short: 'f', help: 'stay until it is over; its exit code becomes that of runledger' },
} as const;

export function wholeNumber(name: string, text: string, least: number, most: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  throw misuse(`--${name} takes a whole number from ${least} to ${most}, and "${text}" is none.`);
}

/** `K=V` of each `--env`. */
export function variables(given: string[]): Record<string, string> {
  const pairs = given.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw misuse(`--env takes NAME=VALUE, and "${text}" is none.`);
    return [text.slice(0, at), text.slice(at + 1)];
  });
  return Object.fromEntries(pairs) as Record<string, string>;
}

export function runId(text: string | undefined): string {
  if (text !== undefined && isId(text)) return text.toLowerCase();
  throw misuse(`"${text}" is no id: "runledger list" shows them.`);
}
