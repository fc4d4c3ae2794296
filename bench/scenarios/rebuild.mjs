/** How fast `npm run rebuild -- run_view` folds the ledger into a shadow of the read model and swaps it in. */
import { fill, migrated, rebuild } from '../lib/filled.mjs';
import { alternate } from '../lib/rounds.mjs';
import { judged } from '../lib/stats.mjs';

/** @param {import('../lib/stage.mjs').Stage} stage */
export async function run(stage) {
  const runs = stage.quick ? 20_000 : 200_000;
  const filled = await migrated(stage, 'rebuild');
  try {
    await fill(filled, runs);
    const results = await alternate(stage, {
      runledger: async () => {
        const result = await rebuild(stage, filled);
        const rows = Number(await filled.database.one('select count(*) from run_view'));
        const counted = Number(await filled.database.one('select sum(runs) from run_count'));
        if (rows !== runs || counted !== runs)
          throw new Error(`run_view has ${rows} rows and run_count ${counted} runs, not ${runs}`);
        return result;
      },
    });
    const rounds = results.map(({ runledger, load }) => ({ value: runledger.rate, load }));
    return [
      judged({
        key: 'rebuild/run_view',
        title: `rebuild of run_view, ${runs * 3} events`,
        unit: 'events/s',
        must: 60_000,
        aim: 150_000,
        rounds,
      }),
    ];
  } finally {
    await filled.database.drop();
  }
}
