import { z } from 'zod';

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const pattern = /^(\d{1,9})(ms|s|m|h|d)$/;

/** `250ms`, `90s`, `15m`, `2h`, `1d`, or a bare `0` -> milliseconds; null when it is none. */
export function parseDuration(value: string): number | null {
  if (value === '0') return 0;
  const match = pattern.exec(value);
  if (!match) return null;
  return Number(match[1]) * units[match[2] as keyof typeof units];
}

/** A duration between two bounds (milliseconds, inclusive); the text is kept as written. */
export const duration = (min: number, max: number) =>
  z.string().superRefine((value, context) => {
    const ms = parseDuration(value);
    if (ms === null)
      context.addIssue({ code: 'custom', message: 'must be a duration such as 250ms, 90s, 15m, 2h or 1d' });
    else if (ms < min || ms > max)
      context.addIssue({ code: 'custom', message: `must be between ${min} ms and ${max} ms` });
  });
