/** `npm run rotate-master-key`: a new master key, and every secret wrapped with it; `-- --finish` forgets the former one. */
import { parseArgs } from 'node:util';
import { forgetFormer, rotate } from '#secrets';
import { masterKeyFile } from '#service';
import { readEnvironment } from './environment.js';
import { withLedger } from './ledger-tool.js';

const { values } = parseArgs({ options: { finish: { type: 'boolean', default: false } } });
const file = masterKeyFile(process.env.RUNLEDGER_MASTER_KEY_FILE, readEnvironment().dataDir);

await withLedger(async (_ledger, pool) => {
  if (values.finish) {
    const keys = await forgetFormer(pool, file);
    console.log(`${file} holds the current key alone; former keys taken out: ${keys}`);
    return;
  }
  console.log(`A new key stands in ${file}; services notice it within seconds`);
  console.log(`Secrets wrapped with it: ${await rotate(pool, file)}`);
  console.log('Once every machine has the new file: npm run rotate-master-key -- --finish');
});
