/** `node profile.mjs noop|true [--seconds n]`: runs that path on solo under --cpu-prof and sums up where its main thread's time goes. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureRuns } from './lib/noop.mjs';
import { command, noop, startProduct } from './lib/product.mjs';
import { load, Stage } from './lib/stage.mjs';

const { positionals, values } = parseArgs({ allowPositionals: true, options: { count: { type: 'string' } } });
const kind = positionals[0] ?? 'noop';
const [body, lanes, standard] = kind === 'noop' ? [noop, 256, 20_000] : [command, 32, 4_000];
const count = Number(values.count ?? standard);

const areas = [
  ['idle', ({ functionName }) => functionName === '(idle)'],
  ['garbage collection', ({ functionName }) => functionName === '(garbage collector)'],
  ['native, not in JavaScript', ({ functionName }) => functionName === '(program)'],
  ['rules (libs/domain)', ({ url }) => url.includes('/dist/libs/domain/')],
  ['ledger: compose, verdicts, handle', ({ url }) => url.includes('/dist/libs/ledger/')],
  ['admission', ({ url }) => url.includes('/dist/libs/admission/')],
  [
    'bus (libs/bus, nest microservices, rxjs)',
    ({ url }) => /\/dist\/libs\/bus\/|@nestjs\/microservices|\/rxjs\/|@nats-io/.test(url),
  ],
  ['gateway (own code)', ({ url }) => url.includes('/dist/apps/gateway/')],
  ['executor (own code)', ({ url }) => url.includes('/dist/apps/executor/')],
  ['projection (apps/history)', ({ url }) => url.includes('/dist/apps/history/')],
  ['other own code', ({ url }) => url.includes('/dist/')],
  [
    'Fastify and its plugins',
    ({ url }) => /fastify|find-my-way|avvio|light-my-request|helmet|secure-json|\/reusify/.test(url),
  ],
  ['Nest', ({ url }) => /@nestjs/.test(url)],
  ['zod', ({ url }) => /\/zod\//.test(url)],
  ['auth (passport, jsonwebtoken)', ({ url }) => /passport|jsonwebtoken|\/jw[sa]\//.test(url)],
  ['pg', ({ url }) => /\/pg|postgres-/.test(url)],
  ['metrics (prom-client)', ({ url }) => /prom-client/.test(url)],
  ['logging (pino)', ({ url }) => /\/pino|sonic-boom|thread-stream/.test(url)],
  ['uuid', ({ url }) => /\/uuid\//.test(url)],
  ['node: HTTP', ({ url }) => /^node:(_http|internal\/http|http|url|internal\/url)/.test(url)],
  ['node: sockets and streams', ({ url }) => /^node:(net|internal\/(stream|streams)|stream|_stream)/.test(url)],
  [
    'node: timers, promises, events, hooks',
    ({ url }) => /^node:(events|timers|internal\/(timers|process|async|promise|event))/.test(url),
  ],
  ['node: crypto, buffer, rest', ({ url }) => url.startsWith('node:')],
  ['JavaScript built-ins', ({ url }) => url === ''],
  ['other packages', () => true],
];

const stage = await Stage.open({ quick: false, rounds: 1 });
const dir = path.join(stage.dir, 'profile');
mkdirSync(dir);
try {
  const flags = `--cpu-prof --cpu-prof-interval 500 --cpu-prof-dir=${dir}`;
  const product = await startProduct(stage, 'solo', { env: { NODE_OPTIONS: flags }, client: { connections: lanes } });
  // The start and the warm-up are in the profile too: few enough runs of it to be little beside the rest.
  await measureRuns(product, body, { count: Math.ceil(count / 10), lanes: Math.min(lanes, 32) });
  const began = { load: load() };
  const { rate, cpuPer1k } = await measureRuns(product, body, { count, lanes });
  await product.stop();
  const file = readdirSync(dir)
    .filter((name) => name.endsWith('.cpuprofile'))
    .map((name) => ({ name, text: readFileSync(path.join(dir, name), 'utf8') }))
    .sort((a, b) => b.text.length - a.text.length)[0];
  console.log(
    `${kind}: ${Math.round(rate)} runs/s under the profiler at load ${began.load}, ${Math.round(cpuPer1k * 1_000)} us of CPU a run (all threads)`,
  );
  summarise(JSON.parse(file.text), count * 1.1);
} finally {
  await stage.close();
}

/** Only the part after the start: from the first handler of a run on. */
function summarise({ nodes, samples, timeDeltas }, runs) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const first = samples.findIndex((id) => byId.get(id).callFrame.url.includes('/surfaces/native/'));
  const self = new Map();
  for (let i = Math.max(first, 0); i < samples.length; i++)
    self.set(samples[i], (self.get(samples[i]) ?? 0) + timeDeltas[i]);
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  /** What node itself and built-ins do is done for somebody: the nearest caller that is neither. */
  const areaFor = (id) => {
    const own = areas.find(([, is]) => is(byId.get(id).callFrame))[0];
    for (let at = id; at !== undefined; at = parents.get(at)) {
      const { callFrame } = byId.get(at);
      if (callFrame.url !== '' && !callFrame.url.startsWith('node:')) return areas.find(([, is]) => is(callFrame))[0];
    }
    return own;
  };
  const functions = new Map();
  const sums = new Map();
  let busy = 0;
  for (const [id, time] of self) {
    const { callFrame } = byId.get(id);
    const area = areaFor(id);
    sums.set(area, (sums.get(area) ?? 0) + time);
    if (area !== 'idle') busy += time;
    const place = callFrame.url
      .replace(/^file:\/\//, '')
      .replace(/^.*node_modules\//, '')
      .replace(/^.*\/dist\//, 'dist/');
    const key = `${callFrame.functionName || '(anonymous)'}  ${place}:${callFrame.lineNumber + 1}`;
    functions.set(key, (functions.get(key) ?? 0) + time);
  }
  const shown = (map, most) =>
    [...map]
      .filter(([name]) => name !== 'idle' && !name.startsWith('(idle)'))
      .sort((a, b) => b[1] - a[1])
      .slice(0, most);
  console.log(
    `main thread busy ${Math.round(busy / runs)} us a run (wall: on a busy machine also waiting for a core); by area, built-ins with their caller:`,
  );
  for (const [area, time] of shown(sums, 30))
    console.log(
      `  ${(time / runs).toFixed(1).padStart(7)} us  ${((time / busy) * 100).toFixed(1).padStart(5)} %  ${area}`,
    );
  console.log('self time, the first 25:');
  for (const [name, time] of shown(functions, 25))
    console.log(
      `  ${(time / runs).toFixed(1).padStart(7)} us  ${((time / busy) * 100).toFixed(1).padStart(5)} %  ${name}`,
    );
}
