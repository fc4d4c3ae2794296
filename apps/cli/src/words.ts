/** Times, lengths of time and sizes as people say them. */
const units: [string, number][] = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
];

/** The largest unit alone: `3m`. */
function roughly(seconds: number): string {
  const [unit, size] = units.find(([, each]) => seconds >= each) ?? ['s', 1];
  return `${Math.floor(seconds / size)}${unit}`;
}

/** `3m ago`, `in 2h`; clocks of two machines differ, so a second is `now`. */
export function age(at: string | null, now = Date.now()): string {
  if (at === null) return '';
  const seconds = (now - Date.parse(at)) / 1_000;
  if (Math.abs(seconds) < 1) return 'now';
  return seconds > 0 ? `${roughly(seconds)} ago` : `in ${roughly(-seconds)}`;
}

/** `0.25s`, `42s`, `3m 5s`, `2h 10m`. */
export function took(ms: number | null): string {
  if (ms === null) return '';
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)}s`;
  const seconds = Math.floor(ms / 1_000);
  const first = units.findIndex(([, each]) => seconds >= each);
  const [unit, size] = units[first]!;
  const next = units[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return `${Math.floor(seconds / size)}${unit}${rest > 0 ? ` ${rest}${next![0]}` : ''}`;
}
