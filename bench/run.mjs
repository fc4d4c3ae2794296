/**
 * `npm run bench [-- <scenario> ...] [--rounds 3] [--quick]`: product and peers by turns; prints a table, writes results.json
 * and, unless it was quick, the table of docs/performance.md.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { writeTable } from './lib/report.mjs';
import { load, productRoot, Stage } from './lib/stage.mjs';

const order = [
  ...['noop-256-solo', 'noop-32-solo', 'noop-32-cluster', 'noop-256-cluster', 'batch-solo', 'batch-cluster'],
  ...['batch-10000-solo', 'batch-10000-cluster'],
  ...[
    'commands-solo',
    'commands-cluster',
    'commands-400mb',
    'latency-solo',
    'latency-cluster',
    'rebuild',
    'lists',
    'sockets-solo',
    'sockets-cluster',
    'idle',
    'schedules',
  ],
];

const standard = path.join(import.meta.dirname, 'results.json');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: standard },
    list: { type: 'boolean', default: false },
  },
});

const known = readdirSync(path.join(import.meta.dirname, 'scenarios')).map((file) => file.replace(/\.mjs$/, ''));
const all = [...order.filter((name) => known.includes(name)), ...known.filter((name) => !order.includes(name))];
if (values.list) {
  console.log(all.join('\n'));
  process.exit(0);
}
const unknown = positionals.filter((word) => !all.some((name) => name.startsWith(word)));
if (unknown.length > 0) {
  console.error(`There is no scenario ${unknown.join(', ')}. There are:\n${all.join('\n')}`);
  process.exit(2);
}
const chosen = positionals.length === 0 ? all : all.filter((name) => positionals.some((word) => name.startsWith(word)));

const stage = await Stage.open({ quick: values.quick, rounds: Number(values.rounds) });
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
const whole = positionals.length === 0;
const before = !whole && existsSync(values.out) ? JSON.parse(readFileSync(values.out, 'utf8')) : { scenarios: {} };
const lines = [];
const failed = [];
try {
  const machine = await describe();
  const scenarios = { ...before.scenarios };
  for (const name of chosen) {
    console.log(`${name} (load ${load()})`);
    try {
      const { run } = await import(`./scenarios/${name}.mjs`);
      const results = await run(stage);
      // A line that it no longer writes must not stay behind.
      for (const [key, { scenario }] of Object.entries(scenarios)) if (scenario === name) delete scenarios[key];
      for (const { key, ...line } of results) {
        lines.push({ key, ...line });
        scenarios[key] = { scenario: name, date: new Date().toISOString(), quick: values.quick, ...line };
      }
    } catch (error) {
      failed.push(name);
      console.error(`  ${name} failed: ${error.stack}`);
    }
    // In the order above whatever was measured last: a diff then shows what has changed.
    const sorted = Object.entries(scenarios).sort(([, a], [, b]) => all.indexOf(a.scenario) - all.indexOf(b.scenario));
    const written = {
      date: new Date().toISOString(),
      machine,
      quick: values.quick,
      scenarios: Object.fromEntries(sorted),
    };
    writeFileSync(values.out, `${JSON.stringify(written, null, 2)}\n`);
    if (values.out === standard && !values.quick)
      writeTable(path.join(import.meta.dirname, '../docs/performance.md'), written);
  }
} finally {
  await stage.close();
}
print(lines);
if (failed.length > 0) console.error(`Failed: ${failed.join(', ')}`);
const missed = lines.filter(({ pass }) => pass === false);
console.log(`${lines.length} lines, ${missed.length} below what they must; written to ${values.out}`);
process.exit(failed.length > 0 ? 1 : 0);

async function describe() {
  const [{ model }] = os.cpus();
  const versions = Object.fromEntries(
    ['pg-boss', 'graphile-worker', 'bullmq', 'ws', 'socket.io-client', 'undici', 'pg'].map((name) => [
      name,
      versionOf(name),
    ]),
  );
  return {
    ...{
      cpu: `${os.cpus().length} x ${model.trim()}`,
      memoryGiB: Math.round(os.totalmem() / 2 ** 30),
      kernel: os.release(),
    },
    ...{ node: process.version, ...(await stage.versions()), peers: versions, product: productRoot },
  };
}

function versionOf(name) {
  return JSON.parse(readFileSync(path.join(import.meta.dirname, 'node_modules', name, 'package.json'), 'utf8')).version;
}

function print(results) {
  const shown = results.map(({ key, unit, must, aim, median, min, max, pass, aimReached, better, rounds }) => [
    key,
    `${median} ${unit} (${min}-${max})`,
    must === null ? '' : `${better === 'lower' ? '<=' : '>='} ${must}`,
    aim === null ? '' : `${better === 'lower' ? '<=' : '>='} ${aim}`,
    pass === null ? '' : pass ? (aimReached ? 'aim' : 'yes') : 'NO',
    `${rounds.map((round) => round.load).join(' ')}`,
  ]);
  const head = ['line', 'median (range)', 'must', 'aim', 'meets', 'load'];
  const widths = head.map((word, i) => Math.max(word.length, ...shown.map((cells) => cells[i].length)));
  for (const cells of [head, ...shown]) console.log(cells.map((cell, i) => cell.padEnd(widths[i])).join('  '));
}
