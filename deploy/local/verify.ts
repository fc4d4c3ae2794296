/** `npm run verify`: recomputes every digest and the chain; exit 1 and the first bad position when something was changed. */
import { verify } from '#ledger';
import { withLedger } from './ledger-tool.js';

await withLedger(async (_ledger, pool) => {
  const began = performance.now();
  const { ok, checked, firstBad, head } = await verify(pool);
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  if (ok)
    console.log(`${checked} events stand as they were written (${seconds} s). Head: ${head.position} ${head.hash}`);
  else console.error(`Changed at position ${firstBad!.position}: ${firstBad!.text}`);
  process.exitCode = ok ? 0 : 1;
});
