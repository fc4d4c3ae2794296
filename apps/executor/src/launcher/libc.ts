/** The few libc calls that Node lacks. Synchronous and allocation-free where a run's start or end passes through. */
import { closeSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';

const lib = koffi.load('libc.so.6');
const c = {
  pipe2: lib.func('int pipe2(void *fds, int flags)') as (fds: Int32Array, flags: number) => number,
  fcntl: lib.func('int fcntl(int fd, int command, int value)') as (
    fd: number,
    command: number,
    value: number,
  ) => number,
  wait4: lib.func('int wait4(int pid, void *status, int options, void *usage)') as (
    pid: number,
    status: Int32Array,
    options: number,
    usage: BigInt64Array,
  ) => number,
  kill: lib.func('int kill(int pid, int signal)') as (pid: number, signal: number) => number,
  flock: lib.func('int flock(int fd, int operation)') as (fd: number, operation: number) => number,
  prctl: lib.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)') as (
    option: number,
    a: number,
    b: number,
    c: number,
    d: number,
  ) => number,
  getrlimit: lib.func('int getrlimit(int which, void *limit)') as (which: number, limit: BigUint64Array) => number,
  setrlimit: lib.func('int setrlimit(int which, void *limit)') as (which: number, limit: BigUint64Array) => number,
  spawnp: lib.func('int posix_spawnp(void *pid, const char *file, void *acts, void *attr, void *argv, void *envp)') as (
    pid: Int32Array,
    file: string,
    actions: Buffer,
    attributes: Buffer,
    argv: BigUint64Array,
    envp: BigUint64Array,
  ) => number,
  attrInit: lib.func('int posix_spawnattr_init(void *attr)') as (attr: Buffer) => number,
  attrFlags: lib.func('int posix_spawnattr_setflags(void *attr, short flags)') as (
    attr: Buffer,
    flags: number,
  ) => number,
  attrDefault: lib.func('int posix_spawnattr_setsigdefault(void *attr, void *set)') as (
    attr: Buffer,
    set: Buffer,
  ) => number,
  attrMask: lib.func('int posix_spawnattr_setsigmask(void *attr, void *set)') as (attr: Buffer, set: Buffer) => number,
  actsInit: lib.func('int posix_spawn_file_actions_init(void *acts)') as (acts: Buffer) => number,
  actsDestroy: lib.func('int posix_spawn_file_actions_destroy(void *acts)') as (acts: Buffer) => number,
  actsDup2: lib.func('int posix_spawn_file_actions_adddup2(void *acts, int from, int to)') as (
    acts: Buffer,
    from: number,
    to: number,
  ) => number,
  actsChdir: lib.func('int posix_spawn_file_actions_addchdir_np(void *acts, const char *path)') as (
    acts: Buffer,
    path: string,
  ) => number,
};

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const F_GETFD = 1;
const F_SETFL = 4;
const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const RLIMIT_LOCKS = 10;

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));
const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

export const signalName = (number: number): string => signalNames.get(number) ?? `SIG${number}`;
export const errnoName = (number: number): string => errnoNames.get(number) ?? `errno ${number}`;

/** A new object each time would cost more than the calls themselves; everything here is synchronous, so one is enough. */
const fds = new Int32Array(2);
const pidOut = new Int32Array(1);
const status = new Int32Array(1);
const usage = new BigInt64Array(18);
const limit = new BigUint64Array(2);
// glibc's structs are 336, 80 and 128 bytes on 64-bit Linux; room is left for other ones.
const attributes = Buffer.alloc(1024);
const actions = Buffer.alloc(512);

c.attrInit(attributes);
c.attrFlags(attributes, SETSID | SETSIGDEF | SETSIGMASK);
// Node ignores SIGPIPE, and an ignored signal would survive exec: `yes | head -1` must not run for ever.
c.attrDefault(attributes, Buffer.alloc(128, 0xff));
c.attrMask(attributes, Buffer.alloc(128));

export interface PipeEnds {
  read: number;
  write: number;
}

export function openPipe(): PipeEnds | number {
  if (c.pipe2(fds, O_CLOEXEC) !== 0) return koffi.errno();
  const ends = { read: fds[0] ?? -1, write: fds[1] ?? -1 };
  // Only our end: a non-blocking stdout is a surprise that many programs do not survive.
  c.fcntl(ends.read, F_SETFL, O_NONBLOCK);
  return ends;
}

export interface Reaped {
  pid: number;
  exitCode: number | null;
  signal: string | null;
  cpuMs: number;
}

/** The next child that has ended, if any: the launcher never uses child_process, so nobody else waits for them. */
export function reap(): Reaped | undefined {
  const pid = c.wait4(-1, status, 1, usage);
  if (pid <= 0) return undefined;
  const word = status[0] ?? 0;
  const number = word & 0x7f;
  const micros = (seconds: number) => Number(usage[seconds] ?? 0n) * 1e6 + Number(usage[seconds + 1] ?? 0n);
  return {
    pid,
    exitCode: number === 0 ? (word >> 8) & 0xff : null,
    signal: number === 0 ? null : signalName(number),
    cpuMs: Math.round((micros(0) + micros(2)) / 1000),
  };
}

export function kill(pid: number, signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  c.kill(pid, constants.signals[signal]);
}

/**
 * Closes what the service happened to have open without close-on-exec: the commands must not inherit it, and a process
 * that lives this long must not keep somebody's pipe from ending. Node opens everything of its own close-on-exec.
 */
export function dropInherited(): void {
  for (const fd of readdirSync('/proc/self/fd').map(Number)) {
    if (fd > 2 && c.fcntl(fd, F_GETFD, 0) === 0) closeSync(fd);
  }
}

export function becomeSubreaper(): void {
  c.prctl(36, 1, 0, 0, 0);
}

/** False where somebody else holds it. It is let go when the process dies, however it dies. */
export function lock(fd: number): boolean {
  return c.flock(fd, 2 | 4) === 0;
}

function vector(list: readonly string[]): { bytes: Buffer; pointers: BigUint64Array } {
  const bytes = Buffer.from(`${list.join('\0')}\0`);
  const pointers = new BigUint64Array(list.length + 1);
  let address = koffi.address(bytes);
  list.forEach((text, index) => {
    pointers[index] = address;
    address += BigInt(Buffer.byteLength(text) + 1);
  });
  return { bytes, pointers };
}

export interface Spawn {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd?: string | undefined;
  stdin: number;
  stdout: number;
  stderr: number;
  tag: bigint;
}

let ownLimit: [bigint, bigint] | undefined;
let ownPath: string | undefined;

/** The pid, or a negative errno. */
export function spawn(order: Spawn): number {
  c.actsInit(actions);
  c.actsDup2(actions, order.stdin, 0);
  c.actsDup2(actions, order.stdout, 1);
  c.actsDup2(actions, order.stderr, 2);
  if (order.cwd !== undefined) c.actsChdir(actions, order.cwd);
  // posix_spawnp looks in the caller's PATH; the command's own is what its author means.
  const path = order.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  if (path !== ownPath) process.env['PATH'] = ownPath = path;
  const argv = vector(order.argv);
  const env = vector(Object.entries(order.env).map(([name, value]) => `${name}=${value}`));
  setTag(order.tag);
  const error = c.spawnp(pidOut, order.argv[0] ?? '', actions, attributes, argv.pointers, env.pointers);
  setTag(undefined);
  c.actsDestroy(actions);
  // Named here so that neither block of strings can be collected while the call reads it through a bare address.
  if (argv.bytes.length + env.bytes.length === 0 || error !== 0) return -(error || constants.errno.EINVAL);
  return pidOut[0] ?? -1;
}

/** Nothing happens where the hard limit is too low for tags: the other nets of `proc.ts` remain. */
function setTag(tag: bigint | undefined): void {
  if (!ownLimit) {
    c.getrlimit(RLIMIT_LOCKS, limit);
    ownLimit = [limit[0] ?? 0n, limit[1] ?? 0n];
  }
  limit[0] = tag ?? ownLimit[0];
  limit[1] = ownLimit[1];
  c.setrlimit(RLIMIT_LOCKS, limit);
}

export function closeAll(...list: number[]): void {
  for (const fd of list) closeSync(fd);
}
