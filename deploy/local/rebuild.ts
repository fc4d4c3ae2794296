/** `npm run rebuild -- <view>|all`: makes a read model anew from the ledger, while everything goes on. */
import { rebuild } from '#ledger';
import { projections } from '../../apps/history/src/projections/projections.js';
import { withLedger } from './ledger-tool.js';

const names = projections.map(({ name }) => name);
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const chosen = wanted.includes('all') ? projections : projections.filter(({ name }) => wanted.includes(name));
if (chosen.length === 0) {
  console.error(`Which read model? npm run rebuild -- ${names.join(' | ')} | all`);
  process.exit(2);
}

await withLedger(async (ledger) => {
  for (const projection of chosen) {
    const began = performance.now();
    let shownAt = 0;
    const onProgress = (done: bigint, head: bigint) => {
      if (performance.now() - shownAt < 1_000) return;
      shownAt = performance.now();
      console.log(`  ${projection.name}: event ${done} of ${head}`);
    };
    const position = await rebuild(ledger, projection, { onProgress });
    const seconds = (performance.now() - began) / 1_000;
    console.log(
      `${projection.name}: rebuilt up to event ${position} in ${seconds.toFixed(1)} s (${Math.round(Number(position) / seconds)} events/s)`,
    );
  }
});
