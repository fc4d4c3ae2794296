/** Starts, watches and ends the commands; lives longer than the executor that it works for. */
import { openSync } from 'node:fs';
import { type Socket } from 'node:net';
import { memoryLimit } from './backlog.js';
import { closeAll, errnoName, openPipe, type Reaped, reap, spawn } from './libc.js';
import { Link } from './link.js';
import { Pace } from './pace.js';
import { tagOf } from './proc.js';
import { FrameReader, keyId, type KillReason, type RunKey, type StartOrder, type ToLauncher } from './protocol.js';
import { refusal } from './refusal.js';
import { Run, type RunHost } from './run.js';
import { Strays } from './strays.js';
import { TreeKiller } from './tree.js';

export interface LauncherSettings {
  spoolDir: string;
  /** First part of every tag: what a successor looks for. */
  family: bigint;
  deadManMs: number;
  idleExitMs: number;
  holdBytes: number;
  onExit: () => void;
}

const flushMs = 40;
const attachMs = 8;
const tickMs = 50;
/** Where no run lives there is only the time to count since anybody was here. */
const idleTickMs = 1000;
const drainMs = 2000;
const reapEveryMs = 1000;
/** How long frames may be handled before pipes and children get their turn. */
const turnMs = 8;

export class Launcher {
  private readonly runs = new Map<string, Run>();
  private readonly alive = new Set<Run>();
  private readonly mains = new Map<number, Run>();
  private readonly link = new Link();
  private readonly pace = new Pace();
  private readonly strays: Strays;
  private readonly killer: TreeKiller;
  private readonly host: RunHost;
  private readonly devNull = openSync('/dev/null', 'r');
  private dirty = new Set<Run>();
  private unattached: Run[] = [];
  private count = 0n;
  private lonelySince = performance.now();
  private reapedAt = 0;
  private exitAt = Infinity;
  private clock: NodeJS.Timeout;
  private isIdle = true;

  constructor(private readonly settings: LauncherSettings) {
    this.strays = new Strays(settings.family, this.mains, this.alive);
    this.killer = new TreeKiller(
      this.strays,
      () => this.reapAll(),
      (run, survivors) => this.finish(run, survivors),
    );
    this.host = {
      spoolDir: settings.spoolDir,
      memory: { left: memoryLimit },
      holdBytes: settings.holdBytes,
      dirty: (run) => this.flushSoon(run),
      took: (run, bytes) => this.pace.took(run, bytes),
      pump: (run) => this.link.pump(run),
      sendLive: (frame) => this.link.sendIfIdle(frame),
      broken: (run) => !run.exit && this.killer.kill(run, run.graceMs),
      pipeEnded: (run) => run.exit && !this.killer.has(run) && this.settle(run),
    };
    process.on('SIGCHLD', () => this.reapAll());
    this.clock = setInterval(() => this.tick(), idleTickMs);
  }

  accept(socket: Socket): void {
    const reader = new FrameReader<ToLauncher>();
    const work = () => {
      const begun = performance.now();
      try {
        for (let frame = reader.next(); frame; frame = reader.next()) {
          this.handle(socket, frame.header);
          if (performance.now() - begun < turnMs) continue;
          socket.pause();
          setImmediate(work);
          return;
        }
        socket.resume();
      } catch (error) {
        process.stderr.write(`${String(error)}\n`);
        socket.destroy();
      }
    };
    socket.on('data', (data: Buffer) => {
      reader.push(data);
      work();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      if (this.link.lose(socket)) this.lonelySince = performance.now();
    });
  }

  shutdown(graceMs: number): void {
    for (const run of this.alive) this.kill(run, 'shutdown', graceMs);
    this.exitAt = Math.min(this.exitAt, performance.now() + graceMs + 15_000);
    this.setPace();
  }

  private handle(socket: Socket, frame: ToLauncher): void {
    if (frame.type === 'hello') return this.welcome(socket);
    // A frame of an executor that has been replaced must not touch what is its successor's now.
    if (!this.link.isFrom(socket)) return;
    switch (frame.type) {
      case 'start':
        return this.start(frame);
      case 'kill': {
        const run = this.runs.get(keyId(frame.key));
        return run && this.kill(run, frame.why, frame.graceMs ?? run.graceMs);
      }
      case 'renew':
        return this.renew(frame.keys);
      case 'ack':
        return this.link.freeing(this.runs.get(keyId(frame.key)), (run) => run.ack(frame.seq));
      case 'forget':
        return this.forget(keyId(frame.key));
      case 'shutdown':
        return this.shutdown(frame.graceMs ?? 10_000);
    }
  }

  private welcome(socket: Socket): void {
    const runs = [...this.runs.values()].map((run) => {
      const state = run.isOver ? ('closed' as const) : ('running' as const);
      return { key: run.key, pid: run.pid, state, firstUnackedSeq: run.firstUnackedSeq };
    });
    this.link.take(socket, { type: 'hello', launcher: process.pid, runs });
    for (const run of this.runs.values()) {
      run.rewind();
      this.link.pump(run);
    }
  }

  private start(order: StartOrder): void {
    if (this.runs.has(keyId(order.key))) return;
    const tag = tagOf(this.settings.family, ++this.count);
    const begun = this.spawn(order, tag);
    const run = new Run(order, tag, begun.pid, this.host);
    this.runs.set(keyId(order.key), run);
    if (begun.pid === null) {
      run.refuse({ type: 'refused', key: order.key, ...refusal(order, begun.errno) });
      return;
    }
    run.listen('stdout', begun.stdout);
    run.listen('stderr', begun.stderr);
    this.alive.add(run);
    this.mains.set(begun.pid, run);
    this.setPace();
    if (this.unattached.push(run) === 1) setTimeout(() => this.attach(), attachMs);
    this.link.pump(run);
  }

  private spawn(order: StartOrder, tag: bigint): Spawned {
    const texts = [...order.argv, order.cwd ?? '', ...Object.entries(order.env).flat()];
    if (order.argv.length === 0 || texts.some((text) => text.includes('\0'))) return { pid: null, errno: 'EINVAL' };
    const out = openPipe();
    if (typeof out === 'number') return { pid: null, errno: errnoName(out) };
    const err = openPipe();
    if (typeof err === 'number') {
      closeAll(out.read, out.write);
      return { pid: null, errno: errnoName(err) };
    }
    const { argv, env, cwd } = order;
    const pid = spawn({ argv, env, cwd, stdin: this.devNull, stdout: out.write, stderr: err.write, tag });
    closeAll(out.write, err.write);
    if (pid > 0) return { pid, stdout: out.read, stderr: err.read };
    closeAll(out.read, err.read);
    return { pid: null, errno: errnoName(-pid) };
  }

  private attach(): void {
    const young = performance.now() - attachMs + 1;
    const ripe = this.unattached.findIndex((run) => run.begun > young);
    const old = this.unattached.splice(0, ripe < 0 ? this.unattached.length : ripe);
    for (const run of old) run.attach();
    if (this.unattached.length > 0) setTimeout(() => this.attach(), attachMs);
  }

  private flushSoon(run: Run): void {
    if (this.dirty.size === 0) setTimeout(() => this.flush(), flushMs);
    this.dirty.add(run);
  }

  private flush(): void {
    const { dirty } = this;
    this.dirty = new Set();
    for (const run of dirty) run.flush();
  }

  private reapAll(): void {
    this.reapedAt = performance.now();
    const ended: Run[] = [];
    for (let child = reap(); child; child = reap()) {
      const run = this.exited(child);
      if (run) ended.push(run);
    }
    if (ended.length === 0) return this.killer.hurry();
    this.strays.refresh();
    for (const run of ended) if (!this.killer.has(run)) this.settle(run);
    this.killer.hurry();
  }

  private exited(child: Reaped): Run | undefined {
    const run = this.mains.get(child.pid);
    this.mains.delete(child.pid);
    this.strays.reaped(child.pid);
    if (!run) return undefined;
    run.exited(child);
    run.drainUntil = performance.now() + drainMs;
    return run;
  }

  /** After the exit: over at once, unless somebody still holds the pipes or lives on. */
  private settle(run: Run): void {
    if (!this.alive.has(run)) return;
    run.drain();
    // Draining may have closed the last pipe, and that settles the run.
    if (!this.alive.has(run) || this.killer.has(run)) return;
    const left = this.strays.of(run).size > 0;
    if (!run.pipesEnded && performance.now() < run.drainUntil) run.attach();
    else if (left) this.killer.kill(run, run.graceMs);
    else this.finish(run, []);
  }

  private finish(run: Run, survivors: number[]): void {
    this.alive.delete(run);
    run.finish(survivors);
    this.strays.over(run);
  }

  private kill(run: Run, why: KillReason, graceMs: number): void {
    if (run.isOver) return;
    // What ended by itself was not killed, even where its background processes now are.
    if (!run.exit) run.killed ??= why;
    this.killer.kill(run, graceMs);
  }

  private renew(keys: RunKey[] | undefined): void {
    const now = performance.now();
    const renewed = keys ? keys.map((key) => this.runs.get(keyId(key))) : this.alive;
    for (const run of renewed) if (run) run.renewed = now;
  }

  private forget(id: string): void {
    const run = this.runs.get(id);
    if (!run?.isOver) return;
    this.link.freeing(run, () => run.forget());
    this.runs.delete(id);
  }

  private setPace(): void {
    const idle = this.alive.size === 0 && this.mains.size === 0 && this.exitAt === Infinity;
    if (idle === this.isIdle) return;
    this.isIdle = idle;
    clearInterval(this.clock);
    this.clock = setInterval(() => this.tick(), idle ? idleTickMs : tickMs);
  }

  private tick(): void {
    const now = performance.now();
    for (const run of this.alive) {
      if (this.killer.has(run)) continue;
      if (run.exit) {
        if (now < run.drainUntil) continue;
        this.strays.refresh();
        this.settle(run);
      } else if (now >= run.deadline) this.kill(run, 'timeout', run.graceMs);
      else if (now - run.renewed > this.settings.deadManMs) this.kill(run, 'fenced', run.graceMs);
    }
    // A signal that was merged with another one or lost must not leave a run for ever.
    if (this.mains.size > 0 && now - this.reapedAt > reapEveryMs) this.reapAll();
    const done = this.alive.size === 0 && (this.runs.size === 0 || now >= this.exitAt);
    const lonely = this.alive.size === 0 && !this.link.connected && now - this.lonelySince > this.settings.idleExitMs;
    if (lonely || (this.exitAt < Infinity && (done || now >= this.exitAt))) this.settings.onExit();
    else this.setPace();
  }
}

type Spawned = { pid: number; stdout: number; stderr: number } | { pid: null; errno: string };
