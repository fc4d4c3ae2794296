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

const residentMb = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(text(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;

/** The most that any of these processes holds while something happens, over what it held at first. */
export class Residents {
  constructor(processes) {
    this.first = processes.map(({ pid, command }) => ({ pid, command, mb: residentMb(pid) }));
  }

  async during(work) {
    let most = { mb: 0, of: null };
    const look = () => {
      for (const { pid, command, mb } of this.first) {
        const more = residentMb(pid) - mb;
        if (more > most.mb)
          most = { mb: more, of: /[^/ ]+(\/src)?\/[^/ ]+\.js/.exec(command)?.[0] ?? command.split(' ')[0] };
      }
    };
    const timer = setInterval(look, 100);
    try {
      const result = await work();
      look();
      return { ...result, grown: most };
    } finally {
      clearInterval(timer);
    }
  }
}
