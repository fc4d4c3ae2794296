/**
 * Which processes belong to a run.
 *
 * The mark is the soft limit RLIMIT_LOCKS, which the launcher sets to a number of the run's own just before it spawns.
 * Linux has not enforced it since 2.4.25, yet every child inherits it, over fork, exec, setsid, a double fork and
 * `env -i`, and /proc/<pid>/limits shows it for every process: checked with `env -i setsid -f sh -c 'cat
 * /proc/self/limits'` on 6.18. Only a process that lowers its own `ulimit -x` sheds it, and for those there are the
 * session, the parents and the environment.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';

export interface Process {
  pid: number;
  parent: number;
  session: number;
  stopped: boolean;
  tag: bigint | undefined;
}

/** What is known of a run when its processes are searched. */
export interface Wanted {
  tag: bigint;
  main: number;
  /** While the main process is not reaped nobody else can hold its pid, so its session is certainly the run's. */
  mainAlive: boolean;
  /** `NAME=value` entries that only this attempt's processes have. */
  marks: readonly string[];
}

// Bit 59 is always set: no sane limit is that high and still finite.
const tagBase = 1n << 59n;
const counterBits = 30n;
const counterMask = (1n << counterBits) - 1n;

/** 29 random bits name a launcher; a successor kills what carries them without a record a run. */
export const tagFamily = (random: number): bigint => (tagBase >> counterBits) | BigInt(random & 0x1fffffff);
export const tagOf = (family: bigint, count: bigint): bigint => (family << counterBits) | (count & counterMask);
export const familyOf = (tag: bigint): bigint => tag >> counterBits;

const room = Buffer.allocUnsafe(64 * 1024);

/** Small files of /proc in one read into one buffer: readFileSync costs three times as much. */
function slurp(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return room.toString('latin1', 0, readSync(fd, room, 0, room.length, null));
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

export function tagOfProcess(pid: number): bigint | undefined {
  const text = slurp(`/proc/${pid}/limits`);
  const at = text?.indexOf('Max file locks') ?? -1;
  if (!text || at < 0) return undefined;
  const soft =
    text
      .slice(at + 14, at + 60)
      .trimStart()
      .split(' ', 1)[0] ?? '';
  const tag = /^\d{18,19}$/.test(soft) ? BigInt(soft) : 0n;
  return tag >> 59n === 1n ? tag : undefined;
}

/** Undefined for what has ended, zombies included. */
export function look(pid: number): Process | undefined {
  const stat = slurp(`/proc/${pid}/stat`);
  if (!stat) return undefined;
  // The name in parentheses may hold anything, spaces and parentheses too.
  const [state, parent, , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ', 5);
  if (!state || state === 'Z' || state === 'X') return undefined;
  const stopped = state === 'T' || state === 't';
  return { pid, parent: Number(parent), session: Number(session), stopped, tag: tagOfProcess(pid) };
}

export function snapshot(): Process[] {
  const found: Process[] = [];
  for (const name of readdirSync('/proc')) {
    const first = name.charCodeAt(0);
    if (first < 48 || first > 57 || Number(name) === process.pid) continue;
    const seen = look(Number(name));
    if (seen) found.push(seen);
  }
  return found;
}

const childrenFile = `/proc/self/task/${process.pid}/children`;

/**
 * Our children, zombies included. As the launcher is a subreaper, whatever outlives its parent becomes one of them: a
 * run whose main process has ended has something left only if one is here.
 */
export function children(): number[] {
  try {
    const text = readFileSync(childrenFile, 'latin1');
    return text === '' ? [] : text.trimEnd().split(' ').map(Number);
  } catch {
    // A kernel without CONFIG_PROC_CHILDREN.
    return snapshot().flatMap((each) => (each.parent === process.pid ? [each.pid] : []));
  }
}

function environmentHas(pid: number, marks: readonly string[]): boolean {
  if (marks.length === 0) return false;
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return marks.every((mark) => entries.includes(mark));
  } catch {
    return false;
  }
}

/** A process that carries one of our tags belongs to that tag's run; another launcher's may run inside a run. */
export function members(all: readonly Process[], run: Wanted, strays: ReadonlySet<number>): Process[] {
  const mine = new Set<number>();
  // Without a live main process its pid may be somebody else's session by now.
  const reused = !run.mainAlive && all.some((each) => each.pid === run.main);
  for (const each of all) {
    if (each.tag !== undefined && familyOf(each.tag) === familyOf(run.tag)) {
      if (each.tag === run.tag) mine.add(each.pid);
      continue;
    }
    const inSession = each.session === run.main && !reused;
    if (inSession || strays.has(each.pid) || (run.mainAlive && each.pid === run.main)) mine.add(each.pid);
    else if (environmentHas(each.pid, run.marks)) mine.add(each.pid);
  }
  for (let before = -1; before !== mine.size;) {
    before = mine.size;
    for (const each of all) if (mine.has(each.parent) && !mine.has(each.pid)) mine.add(each.pid);
  }
  return all.filter((each) => mine.has(each.pid));
}

/** What a launcher of these families left behind when it was killed. */
export function orphans(all: readonly Process[], families: ReadonlySet<bigint>): Process[] {
  const mine = new Set(all.filter((each) => each.tag && families.has(familyOf(each.tag))).map((each) => each.pid));
  for (let before = -1; before !== mine.size;) {
    before = mine.size;
    for (const each of all) if (mine.has(each.parent) && !mine.has(each.pid)) mine.add(each.pid);
  }
  return all.filter((each) => mine.has(each.pid));
}
