/** Newest page, a page somewhere by keyset, one run by id: at a million runs against ten thousand, over HTTP, one call at a time. */
import { fill, migrated, rebuild } from '../lib/filled.mjs';
import { startProduct } from '../lib/product.mjs';
import { alternate } from '../lib/rounds.mjs';
import { judged, median, quantile, rounded } from '../lib/stats.mjs';

const slice = 50;
const any = (list) => list[Math.floor(Math.random() * list.length)];

/** Both sizes by turns of 50 calls: what the machine does meanwhile meets both. */
async function compare({ small, big }, path, calls) {
  const times = { small: [], big: [] };
  for (let done = 0; done < calls; done += slice) {
    for (const [name, product] of [
      ['small', small],
      ['big', big],
    ]) {
      for (let n = 0; n < slice; n++) {
        const began = performance.now();
        const { body } = await product.api.call('GET', path(product));
        times[name].push(performance.now() - began);
        if (!body.includes('"id"')) throw new Error(`an empty answer for ${path(product)}: ${body.slice(0, 200)}`);
      }
    }
  }
  return times;
}

/** @param {import('../lib/stage.mjs').Stage} stage */
export async function run(stage) {
  const sizes = { small: stage.quick ? 2_000 : 10_000, big: stage.quick ? 50_000 : 1_000_000 };
  const opened = {};
  try {
    for (const [name, runs] of Object.entries(sizes)) {
      const filled = await migrated(stage, `lists_${name}`);
      opened[name] = { database: filled.database };
      await fill(filled, runs);
      const { rate } = await rebuild(stage, filled);
      await filled.database.query('vacuum analyze run_view');
      const product = await startProduct(stage, 'solo', { database: filled.database, client: { connections: 1 } });
      const { rows } = await filled.database.query(
        'select id, born from run_view tablesample system (10) order by random() limit 2000',
      );
      if (rows.length === 0) throw new Error('no rows were sampled');
      opened[name] = { ...product, ids: rows.map(({ id }) => id), births: rows.map(({ born }) => born) };
      console.log(`  ${runs} runs are there (rebuilt at ${rate} events/s)`);
    }
    const kinds = {
      'newest page': () => '/api/v1/runs?limit=50',
      'keyset page': ({ births }) => `/api/v1/runs?limit=50&cursor=${Math.max(Number(any(births)), 500)}`,
      'by id': ({ ids }) => `/api/v1/runs/${any(ids)}`,
    };
    const calls = stage.quick ? 100 : 500;
    for (const path of Object.values(kinds)) await compare(opened, path, 300);
    const contestants = Object.fromEntries(
      Object.entries(kinds).map(([kind, path]) => [kind, () => compare(opened, path, calls)]),
    );
    const results = await alternate(
      stage,
      contestants,
      ({ small, big }) => `${median(small).toFixed(2)} -> ${median(big).toFixed(2)} ms`,
    );
    return Object.keys(kinds).map((kind) =>
      judged({
        ...{
          key: `lists/${kind}`,
          title: `${kind} at ${sizes.big} runs against ${sizes.small}, p50 of HTTP`,
          lower: true,
          must: 1.3,
          aim: 1.1,
        },
        rounds: results.map((round) => ({
          value: rounded(median(round[kind].big) / median(round[kind].small), 4),
          ...{ bigP50: rounded(median(round[kind].big)), smallP50: rounded(median(round[kind].small)) },
          ...{
            bigP99: rounded(quantile(round[kind].big, 0.99)),
            smallP99: rounded(quantile(round[kind].small, 0.99)),
            load: round.load,
          },
        })),
      }),
    );
  } finally {
    for (const { stop, database } of Object.values(opened)) {
      await stop?.({ keep: true });
      await database.drop();
    }
  }
}
