/** Medians, ranges, and how a measured line stands against what it must and aims to be. */
export const sorted = (values) => [...values].sort((a, b) => a - b);
export const quantile = (values, q) => sorted(values)[Math.min(values.length - 1, Math.floor(q * values.length))];
export const median = (values) => {
  const list = sorted(values);
  const middle = list.length >> 1;
  return list.length % 2 ? list[middle] : (list[middle - 1] + list[middle]) / 2;
};
export const rounded = (value, digits = 3) => Number(Number(value).toPrecision(digits));

/**
 * A line of the result: `value` of each round is what is judged, a ratio mostly.
 * @param {{ must?: number, aim?: number, lower?: boolean, unit?: string, rounds: { value: number }[] }} line
 */
export function judged({ must, aim, lower = false, unit = 'x', rounds, ...rest }) {
  const values = rounds.map(({ value }) => value);
  const middle = median(values);
  const meets = (wanted) => (wanted === undefined ? null : lower ? middle <= wanted : middle >= wanted);
  return {
    ...rest,
    ...{ unit, must: must ?? null, aim: aim ?? null, better: lower ? 'lower' : 'higher' },
    ...{ median: rounded(middle), min: rounded(Math.min(...values)), max: rounded(Math.max(...values)) },
    ...{ pass: meets(must), aimReached: meets(aim), rounds },
  };
}
