/** The executor's side of the launcher: finds or starts it, gives it orders, hears what becomes of them. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { place } from './place.js';
import {
  type Chunk,
  type Closed,
  FrameReader,
  FrameWriter,
  type KillReason,
  type KnownRun,
  type Refused,
  type RunKey,
  type StartOrder,
  type ToExecutor,
  type ToLauncher,
} from './protocol.js';

export interface LauncherEvents {
  onStarted: (key: RunKey, pid: number) => void;
  onRefused: (refused: Refused) => void;
  /** `bytes` is a view; copy what is kept for long. Acknowledge by `ack` once it is committed, unless `live`. */
  onChunk: (chunk: Chunk, bytes: Buffer) => void;
  onVoice: (key: RunKey, data: Record<string, unknown>) => void;
  /** After the run's last chunk. Comes again on the next connection until `forget`. */
  onClosed: (closed: Closed) => void;
  /** The launcher died, or another executor took it over; not called after `close`. */
  onGone: (error?: Error) => void;
}

export interface LauncherOptions extends LauncherEvents {
  /** Private to this executor's identity on this machine; holds socket, lock, log and spool. */
  dir: string;
  executor: string;
  log?: ((message: string) => void) | undefined;
  /** The compiled launcher; found by itself from dist and from the sources. */
  entry?: string | undefined;
  deadManMs?: number | undefined;
  idleExitMs?: number | undefined;
  holdBytes?: number | undefined;
  connectTimeoutMs?: number | undefined;
}

const here = fileURLToPath(new URL('.', import.meta.url));

/** The tests run the sources; a launcher is always a plain Node process and needs what the build made. */
function defaultEntry(): string {
  const sources = '/apps/executor/src/launcher/';
  const root = here.endsWith(`/dist${sources}`)
    ? here.slice(0, -sources.length)
    : join(here.slice(0, -sources.length), 'dist');
  return join(root, sources, 'launcher.main.js');
}

export class LauncherClient {
  /** The launcher's own pid. */
  readonly pid: number;
  /** What it knew when we came; chunks and ends of these follow by themselves. */
  readonly runs: readonly KnownRun[];
  private readonly writer: FrameWriter;
  private closed = false;

  private constructor(
    private readonly socket: Socket,
    private readonly events: LauncherEvents,
    hello: { launcher: number; runs: KnownRun[] },
  ) {
    this.pid = hello.launcher;
    this.runs = hello.runs;
    this.writer = new FrameWriter(socket);
  }

  /** Connects to the launcher of `dir`, which is started where there is none. */
  static async connect(options: LauncherOptions): Promise<LauncherClient> {
    const until = performance.now() + (options.connectTimeoutMs ?? 20_000);
    for (let startedAt = -Infinity; ;) {
      try {
        return await LauncherClient.greet(await dial(place(options.dir).socket), options);
      } catch (error) {
        if (performance.now() > until) throw new Error('The launcher cannot be reached', { cause: error });
        // One that lost the race for the lock goes by itself; later another one may be needed.
        if (performance.now() - startedAt > 6000) {
          startedAt = performance.now();
          startLauncher(options);
        }
        await sleep(15);
      }
    }
  }

  private static greet(socket: Socket, options: LauncherOptions): Promise<LauncherClient> {
    const reader = new FrameReader<ToExecutor>();
    let client: LauncherClient | undefined;
    return new Promise((resolve, reject) => {
      // Frames behind the answer wait until the caller has its client, or their handlers would miss it.
      const deliver = () => {
        for (let frame = client && reader.next(); client && frame; frame = reader.next()) {
          client.dispatch(frame.header, frame.body);
        }
      };
      socket.on('data', (data: Buffer) => {
        reader.push(data);
        if (client) return deliver();
        const first = reader.next();
        if (first?.header.type !== 'hello') return;
        client = new LauncherClient(socket, options, first.header);
        resolve(client);
        socket.pause();
        setImmediate(() => {
          socket.resume();
          deliver();
        });
      });
      socket.on('error', reject);
      socket.on('close', () => {
        reject(new Error('The launcher closed the connection'));
        client?.gone();
      });
      new FrameWriter(socket).send({ type: 'hello', executor: options.executor });
    });
  }

  /** A second start of a known key does nothing. */
  start(order: StartOrder): void {
    this.send({ type: 'start', ...order });
  }

  /** A second kill skips the grace. */
  kill(key: RunKey, why: KillReason, graceMs?: number): void {
    this.send({ type: 'kill', key, why, graceMs });
  }

  /** All runs, or these; what is not renewed within the dead-man time is killed as fenced. */
  renew(keys?: RunKey[]): void {
    this.send({ type: 'renew', keys });
  }

  /** Everything up to and including `seq` is committed. */
  ack(key: RunKey, seq: number): void {
    this.send({ type: 'ack', key, seq });
  }

  /** The end is recorded: the launcher drops all it has of the run. */
  forget(key: RunKey): void {
    this.send({ type: 'forget', key });
  }

  /** Kills everything, reports it, and exits once all is forgotten. */
  shutdown(graceMs?: number): void {
    this.send({ type: 'shutdown', graceMs });
  }

  /** Leaves; the launcher and its runs go on. What was ordered before is still sent. */
  close(): void {
    this.closed = true;
    this.writer.flush();
    this.socket.end();
    // After the end of our side nothing more is read, but the flush has to get out first.
    this.socket.once('finish', () => this.socket.destroy());
  }

  private send(frame: ToLauncher): void {
    if (!this.closed) this.writer.send(frame);
  }

  private gone(): void {
    if (this.closed) return;
    this.closed = true;
    this.events.onGone();
  }

  private dispatch(header: ToExecutor, body: Buffer): void {
    if (this.closed) return;
    switch (header.type) {
      case 'hello':
        return;
      case 'started':
        return this.events.onStarted(header.key, header.pid);
      case 'refused':
        return this.events.onRefused(header);
      case 'chunk':
        return this.events.onChunk(header, body);
      case 'voice':
        return this.events.onVoice(header.key, header.data);
      case 'closed':
        return this.events.onClosed(header);
    }
  }
}

function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

function startLauncher(options: LauncherOptions): void {
  const { log: logFile } = place(options.dir);
  const entry = options.entry ?? defaultEntry();
  const numbers: [string, number | undefined][] = [
    ['--dead-man-ms', options.deadManMs],
    ['--idle-exit-ms', options.idleExitMs],
    ['--hold-bytes', options.holdBytes],
  ];
  const settings = numbers.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)]));
  // A small heap and few threads: it holds pipes and counters, the output is outside the heap or in files.
  const flags = ['--max-old-space-size=256', '--max-semi-space-size=2', '--v8-pool-size=1'];
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, [...flags, entry, '--dir', resolve(options.dir), ...settings], {
    argv0: 'runledger-launcher',
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      TMPDIR: process.env['TMPDIR'],
      UV_THREADPOOL_SIZE: '1',
    },
  });
  child.on('error', (error) => options.log?.(`The launcher could not be started: ${error.message}`));
  child.unref();
  closeSync(log);
  options.log?.(`launcher ${child.pid} started for ${options.dir}`);
}
