/** Product and peers by turns: the order is turned each round, so that nobody always comes first. */
import { load } from './stage.mjs';
import { rounded } from './stats.mjs';

/**
 * @template T
 * @param {import('./stage.mjs').Stage} stage
 * @param {Record<string, () => Promise<T>>} contestants
 * @returns {Promise<(Record<string, T> & { load: number })[]>}
 */
export async function alternate(stage, contestants, show = (result) => `${Math.round(result.rate)}/s`) {
  const names = Object.keys(contestants);
  const results = [];
  for (let round = 0; round < stage.rounds; round++) {
    const order = names.map((_, i) => names[(i + round) % names.length]);
    const found = { load: load() };
    for (const name of order) {
      await stage.settle();
      found[name] = await contestants[name]();
    }
    results.push(found);
    console.log(
      `  round ${round + 1} (load ${found.load}): ${names.map((name) => `${name} ${show(found[name])}`).join(', ')}`,
    );
  }
  return results;
}

/** The rounds of a line: product over peer, of `what` was measured. */
export const ratios = (results, product, peer, what = 'rate') =>
  results.map((round) => ({
    value: rounded(round[product][what] / round[peer][what], 4),
    product: rounded(round[product][what], 4),
    peer: rounded(round[peer][what], 4),
    load: round.load,
  }));
