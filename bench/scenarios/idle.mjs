/** What solo costs while nothing happens but one process that runs each minute; PostgreSQL is not counted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { memory } from '../lib/processes.mjs';
import { startProduct } from '../lib/product.mjs';
import { load } from '../lib/stage.mjs';
import { judged, rounded } from '../lib/stats.mjs';

const heartbeat = {
  name: 'Heartbeat',
  action: { kind: 'command', shell: 'echo "alive on $(uname -n)"' },
  triggers: [{ cron: '* * * * *', zone: 'UTC' }],
};

/** @param {import('../lib/stage.mjs').Stage} stage */
export async function run(stage) {
  const seconds = stage.quick ? 10 : 60;
  const product = await startProduct(stage, 'solo', { client: { connections: 1 } });
  const rounds = [];
  try {
    await product.api.json('POST', '/api/v1/processes', heartbeat);
    await sleep(stage.quick ? 3_000 : 20_000);
    for (let round = 0; round < stage.rounds; round++) {
      const began = performance.now();
      const before = product.cpu();
      await sleep(seconds * 1_000);
      const processes = product.processes();
      const cpu = rounded(((product.cpu() - before) / (performance.now() - began)) * 100_000);
      rounds.push({ cpu, ...memory(processes), processes: processes.length, load: load() });
      const { rss, pss } = rounds.at(-1);
      console.log(
        `  round ${round + 1}: ${cpu} % of a core, ${rss} MB resident (${pss} MB with shared pages divided), ${processes.length} processes`,
      );
    }
  } finally {
    await product.stop();
  }
  const line = (key, title, wanted, of) =>
    judged({
      key: `idle/${key}`,
      title,
      lower: true,
      ...wanted,
      rounds: rounds.map((round) => ({ value: of(round), ...round })),
    });
  return [
    line('cpu', 'idle solo with one process a minute: CPU', { must: 1, unit: '% of a core' }, ({ cpu }) => cpu),
    line(
      'memory',
      'idle solo: resident memory of all its processes',
      { must: 350, aim: 250, unit: 'MB' },
      ({ rss }) => rss,
    ),
  ];
}
