/** Knows processes by more than their number: numbers are reused, so each is named with the boot and the instant it started in. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessIdentity {
  readonly pid: number;
  readonly started: string;
}

/** What is written down about a process, so that a later start may end it: `args` must still be on its command line. */
export interface ProcessRecord extends ProcessIdentity {
  readonly name: string;
  readonly args: readonly string[];
}

/** Ends what an earlier, killed start wrote into `file` and left running; answers the names of what it ended. */
export async function endLeftovers(file: string, graceMs = 10_000): Promise<string[]> {
  const leftovers = readRecords(file).filter(isRecorded);
  await Promise.all(leftovers.map((record) => endProcess(record, { graceMs })));
  rmSync(file, { force: true });
  return leftovers.map((record) => record.name);
}

/** Replaces the whole file at once: a reader never sees half of it. */
export function writeRecords(file: string, records: readonly ProcessRecord[]): void {
  writeFileSync(`${file}.new`, JSON.stringify(records, null, 1), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Asks with `signal`, waits `graceMs`, then kills the process with its group; true when asking was enough. */
export async function endProcess(
  identity: ProcessIdentity,
  { signal = 'SIGTERM', graceMs = 10_000 }: { signal?: NodeJS.Signals; graceMs?: number } = {},
): Promise<boolean> {
  if (!isRunning(identity)) return true;
  sendSignal(identity.pid, signal);
  if (await isGoneWithin(identity, graceMs)) return true;
  killGroup(identity.pid);
  sendSignal(identity.pid, 'SIGKILL');
  if (!(await isGoneWithin(identity, 10_000))) throw new Error(`process ${identity.pid} is still there after SIGKILL`);
  return false;
}

export async function isGoneWithin(identity: ProcessIdentity, ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  while (isRunning(identity)) {
    if (performance.now() > until) return false;
    await sleep(20);
  }
  return true;
}

export function identify(pid: number): ProcessIdentity | undefined {
  const started = startedAt(pid);
  return started === undefined ? undefined : { pid, started };
}

export function isRunning(identity: ProcessIdentity): boolean {
  return startedAt(identity.pid) === identity.started;
}

/** Kills what a group leader of ours left in its group. */
export function killGroup(leader: number): void {
  sendSignal(-leader, 'SIGKILL');
}

export function commandLine(pid: number): string {
  if (!hasProc) return ps(pid, 'args=') ?? '';
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

const hasProc = existsSync('/proc/self/stat');
const boot = hasProc ? readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() : '';

/** A zombie counts as gone: in a container without an init nobody ever collects it. */
function startedAt(pid: number): string | undefined {
  if (!hasProc) {
    const [state, ...started] = ps(pid, 'stat=,lstart=')?.split(/\s+/) ?? [];
    return state === undefined || state.startsWith('Z') ? undefined : started.join(' ');
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name stands in brackets and may hold anything, brackets and blanks included.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${boot}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

function ps(pid: number, columns: string): string | undefined {
  try {
    return execFileSync('ps', ['-o', columns, '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}

function isRecorded(record: ProcessRecord): boolean {
  if (!isRunning(record)) return false;
  const command = commandLine(record.pid);
  return record.args.every((arg) => command.includes(arg));
}

function readRecords(file: string): ProcessRecord[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessRecord[];
  } catch {
    return [];
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
