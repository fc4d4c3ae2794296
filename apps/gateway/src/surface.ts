import { type ZodType } from 'zod';

/** A request's refusal, ready for a surface to put into its own words. */
export interface Fault {
  status: number;
  /** Upper case words for programs: `RUN_NOT_FOUND`. */
  code: string;
  message: string;
  details?: unknown;
  correlationId: string;
}

/** One documented API: which paths are its own, and what its "no" looks like. */
export interface Surface {
  name: string;
  owns(path: string): boolean;
  /** Statuses that this document gives instead of the usual ones, by the refusal's kind. */
  statuses?: Partial<Record<string, number>>;
  /** Of which paths it counts how often each user asks, and says so on every answer; of none where it does not say. */
  limited?: (path: string) => boolean;
  contentType?: string;
  body(fault: Fault): object;
  /** The shape of such a body, by status. */
  bodyShape(status: number): ZodType;
}

const under = (prefix: string) => (path: string) => path === prefix || path.startsWith(`${prefix}/`);

/** True below any of these prefixes. */
export function paths(...prefixes: string[]): (path: string) => boolean {
  const tests = prefixes.map(under);
  return (path) => tests.some((test) => test(path));
}
