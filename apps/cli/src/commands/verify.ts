import { connect } from '../api.js';
import { command } from '../command.js';
import { printJson, printText, say } from '../print.js';

interface Verification {
  ok: boolean;
  checked: string;
  firstBad?: { position: string; text: string };
  head: { position: string; hash: string };
}

/** The server gives up after two minutes. */
const timeoutMs = 150_000;

export const verify = command({
  name: 'verify',
  usage: '[--from POSITION] [--to POSITION]',
  summary: 'Has the ledger recompute its digests and its chain; exits with 1 when something was changed.',
  options: {
    from: { type: 'string', value: 'POSITION', help: 'the first position to check' },
    to: { type: 'string', value: 'POSITION', help: 'the last one' },
  },
  run: async ({ options }) => {
    const { from, to, json } = options;
    const found = await connect(options).get<Verification>('/api/v1/verify', { from, to }, { timeoutMs });
    const { ok, checked, firstBad, head } = found;
    if (json) await printJson(found);
    else if (ok) await printText(`${checked} events stand as they were written. Head: ${head.position} ${head.hash}`);
    if (!ok) say(`The ledger was changed at position ${firstBad?.position}: ${firstBad?.text}.`);
    return ok ? 0 : 1;
  },
});
