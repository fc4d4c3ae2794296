/** The table in docs/performance.md, between its two marks: whoever measures writes it. */
import { readFileSync, writeFileSync } from 'node:fs';

const [begin, end] = ['<!-- bench:begin -->', '<!-- bench:end -->'];

/** @param {string} file @param {{ machine: object, scenarios: Record<string, object> }} results */
export function writeTable(file, { machine, scenarios }) {
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has lost its marks ${begin} and ${end}`);
  const table = [begin, '', ...about(machine), '', ...tableOf(scenarios), '', end].join('\n');
  writeFileSync(file, text.slice(0, from) + table + text.slice(to + end.length));
}

function about({ cpu, memoryGiB, node, postgres, peers }) {
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`);
  return [`${cpu}, ${memoryGiB} GiB; Node.js ${node}, PostgreSQL ${postgres}; ${versions.join(', ')}.`];
}

function tableOf(scenarios) {
  const rows = Object.values(scenarios).map(
    ({ title, unit, median, min, max, must, aim, better, pass, date, rounds }) => {
      const sign = better === 'lower' ? '≤' : '≥';
      const wanted = (value) => (value === null ? '' : `${sign} ${value}`);
      const loads = rounds.map(({ load }) => load).join(', ');
      const meets = pass === null ? '' : pass ? 'yes' : '**no**';
      return [title, `${median} ${unit} (${min}–${max})`, wanted(must), wanted(aim), meets, loads, date.slice(0, 10)];
    },
  );
  const head = ['what', 'median (range)', 'must', 'aim', 'meets', 'load before each round', 'measured'];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}
