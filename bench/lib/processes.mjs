/** CPU and memory of processes, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';

const ticks = 100;
const text = (file) => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

export function processOf(pid) {
  const stat = text(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const cpu = (Number(fields[11]) + Number(fields[12])) / ticks;
  const command = text(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
  return { pid: Number(pid), parent: Number(fields[1]), cpu, command };
}

function all() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(processOf)
    .filter(({ command }) => command !== '');
}

/** A process, its descendants, and whatever names `dir` on its command line (the launcher is nobody's child); no PostgreSQL. */
export function family(pid, dir) {
  const processes = all();
  const found = new Map(
    processes.filter((each) => each.pid === pid || (dir && each.command.includes(dir))).map((each) => [each.pid, each]),
  );
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const each of processes) if (found.has(each.parent)) found.set(each.pid, each);
  }
  return [...found.values()].filter(
    ({ command, pid: id }) => !/postgres/.test(command.split(' ')[0]) && id !== process.pid,
  );
}

export const cpuSeconds = (processes) => processes.reduce((sum, { cpu }) => sum + cpu, 0);

/** Megabytes: resident, and the share where pages are shared. */
export function memory(processes) {
  const field = (pid, name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) / 1024;
  const sum = (name) => Math.round(processes.reduce((total, { pid }) => total + field(pid, name), 0));
  return { rss: sum('Rss'), pss: sum('Pss') };
}
