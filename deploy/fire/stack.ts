/** A whole Runledger under fire: its processes one by one, so that each can be killed, paused, and left dead. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type Pool } from 'pg';
import { bells, natsUsers, subjects } from '#bus';
import { planChildren, readClusterOptions } from '../local/cluster-plan.js';
import { startNats, type Nats } from '../local/nats.js';
import { snapshot } from '../../apps/executor/src/launcher/proc.js';
import { commandLine, endProcess, identify, writeRecords } from '../local/processes.js';
import { freePort } from '../local/ports.js';
import { Api } from './api.js';
import { Member } from './member.js';
import { folder, within, type Scene, type Topology } from './scene.js';
import { type Store } from './store.js';

export interface StackOptions {
  readonly executors?: number;
  readonly schedulers?: number;
  readonly env?: Record<string, string>;
  /** The port that the services reach nats-server on, where something stands between. */
  readonly viaPort?: (natsPort: number) => Promise<number>;
  readonly store?: Store;
}

export class Stack {
  readonly members = new Map<string, Member>();
  readonly families = new Set<bigint>();
  nats: Nats | undefined;
  api: Api;
  pool: Pool;
  databaseUrl: string;
  dataDir: string;
  private url: string;
  private timer: NodeJS.Timeout | undefined;
  private undo: (() => Promise<void>) | undefined;

  private constructor(
    readonly scene: Scene,
    readonly store: Store,
  ) {}

  static async start(scene: Scene, options: StackOptions = {}): Promise<Stack> {
    const stack = new Stack(scene, options.store ?? scene.store);
    stack.undo = scene.cleanup.add(() => stack.end());
    stack.dataDir = folder(scene, 'data');
    stack.databaseUrl = await stack.store.createDatabase();
    stack.pool = stack.store.pool(stack.databaseUrl);
    const port = await freePort();
    const password = randomBytes(12).toString('hex');
    stack.url = `http://127.0.0.1:${port}`;
    stack.api = new Api(stack.url, password);
    const env = {
      HOST: '127.0.0.1',
      RUNLEDGER_DATA: stack.dataDir,
      RUNLEDGER_RATE_LIMITS: 'off',
      RUNLEDGER_ADMIN_PASSWORD: password,
      RUNLEDGER_EXECUTOR_SLOTS: '64',
      RUNLEDGER_KILL_GRACE_SECONDS: '2',
      RUNLEDGER_LOG_LEVEL: 'info',
      ...options.env,
    };
    if (scene.topology === 'solo') stack.planSolo(env, port);
    else await stack.planCluster(env, port, options);
    for (const member of stack.members.values()) member.start();
    stack.timer = setInterval(() => stack.noteFamilies(), 500);
    await stack.ready();
    return stack;
  }

  get topology(): Topology {
    return this.scene.topology;
  }

  /** In solo every name means the one process. */
  member(name: string): Member {
    const found = this.members.get(this.topology === 'solo' ? 'solo' : name);
    if (!found) throw new Error(`There is no ${name}`);
    return found;
  }

  executorDir(instance = 1): string {
    return path.join(this.dataDir, `executor-${instance}`);
  }

  /** Signed in and able to accept a run. */
  async ready(ms = 60_000): Promise<void> {
    const good = await within(ms, async () => {
      if (!this.api.bearer) await this.api.signIn();
      const { status } = await this.api.call('GET', '/api/v1/health', { timeoutMs: 2_000 });
      return status === 200;
    });
    if (!good)
      throw new Error(
        `The ${this.topology} stack did not become healthy within ${ms / 1_000} s. ${await this.sessions()}`,
      );
  }

  /** What the services' connections do, for whoever has to find out why nothing goes on. */
  private async sessions(): Promise<string> {
    const text = `select state, wait_event_type || ':' || wait_event as waits, extract(epoch from clock_timestamp() - state_change)::int as seconds,
      left(regexp_replace(query, '\\s+', ' ', 'g'), 120) as query from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() order by state_change limit 20`;
    const { rows } = await this.pool.query<{ state: string; waits: string; seconds: number; query: string }>(text);
    const lines = rows.map(({ state, waits, seconds, query }) => `${state} ${seconds} s ${waits}: ${query}`);
    return `${rows.length} connections:\n${lines.join('\n')}`;
  }

  /** The launcher's pid, found by its folder; 0 where there is none. */
  launcherPid(instance = 1): number {
    const dir = this.executorDir(instance);
    return this.launchers().find((pid) => commandLine(pid).includes(`${dir} `) || commandLine(pid).endsWith(dir)) ?? 0;
  }

  launchers(): number[] {
    const all = snapshot().filter(({ pid }) => {
      const command = commandLine(pid);
      return command.includes('launcher.main.js') && command.includes(this.dataDir);
    });
    // What a launcher has forked looks like it until it is the command.
    return all.filter(({ parent }) => !all.some(({ pid }) => pid === parent)).map(({ pid }) => pid);
  }

  /** Each launcher marks what it starts with a family of tags; a successor overwrites the file. */
  noteFamilies(): void {
    for (const name of readdirSync(this.dataDir).filter((each) => each.startsWith('executor-'))) {
      for (const line of linesOf(path.join(this.dataDir, name, 'launcher.tags'))) {
        const family = line.split(' ')[1];
        if (family) this.families.add(BigInt(family));
      }
    }
  }

  /** Stopped as an operator does it; false when something had to be killed. */
  async stop(): Promise<boolean> {
    this.noteFamilies();
    const clean = await Promise.all([...this.members.values()].map((member) => member.stop()));
    await this.undo?.();
    return clean.every(Boolean);
  }

  private planSolo(env: NodeJS.ProcessEnv, port: number): void {
    const own = { ...bare(), ...env, DATABASE_URL: this.databaseUrl, PORT: String(port) };
    // As `npm start` does it.
    const args = [
      '--min-semi-space-size=32',
      '--max-semi-space-size=32',
      path.join(this.scene.dist, 'deploy/local/solo.js'),
      '--bare',
    ];
    this.add('solo', args, own);
  }

  private async planCluster(env: NodeJS.ProcessEnv, port: number, options: StackOptions): Promise<void> {
    const nats = await this.startNats();
    const via = (await options.viaPort?.(nats.port)) ?? nats.port;
    const natsUrl = (service: string) => nats.url(service).replace(`:${nats.port}`, `:${via}`);
    const { executors = 1, schedulers = 1 } = options;
    const counts = readClusterOptions([...counted({ executors, schedulers }), '--bare']);
    const environment = { ports: [port], host: '127.0.0.1', dataDir: this.dataDir };
    const connections = { databaseUrl: this.databaseUrl, natsUrl };
    for (const child of planChildren(this.scene.dist, counts, environment, connections)) {
      const { DATABASE_URL, NATS_URL, PORT, RUNLEDGER_INSTANCE, RUNLEDGER_EXECUTOR_ON_STOP, RUNLEDGER_BARE } =
        child.env;
      const planned = { DATABASE_URL, NATS_URL, RUNLEDGER_INSTANCE, RUNLEDGER_EXECUTOR_ON_STOP, RUNLEDGER_BARE };
      this.add(child.name, child.args, { ...bare(), ...planned, ...(PORT ? { PORT } : {}), ...env });
    }
  }

  async startNats(port?: number): Promise<Nats> {
    const { nats: binary } = this.scene;
    if (!binary) throw new Error('There is no nats-server');
    const users = natsUsers(Object.values(subjects), Object.values(bells));
    this.nats = await startNats({ binary, dir: path.join(this.scene.dir, 'nats'), port, users });
    return this.nats;
  }

  private add(name: string, args: readonly string[], env: NodeJS.ProcessEnv): void {
    const log = path.join(this.scene.dir, `${name}.log`);
    this.members.set(name, new Member({ name, args, env, log }, () => this.save()));
  }

  private save(): void {
    const records = [...this.members.values()].flatMap(({ record }) => (record ? [record] : []));
    writeRecords(path.join(this.scene.dir, 'members.json'), records);
  }

  /** Whatever the scenario left: nothing of it may survive. */
  private async end(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all([...this.members.values()].map((member) => member.stop(35_000)));
    for (const pid of this.launchers()) {
      const identity = identify(pid);
      // The launcher takes its commands along.
      if (identity) await endProcess(identity, { graceMs: 20_000 });
    }
    await this.nats?.stop();
    this.api.close();
    await this.pool?.end();
  }
}

const counted = (counts: Record<string, number>) =>
  Object.entries(counts).flatMap(([name, count]) => [`--${name}`, String(count)]);

/** Not the settings of whoever runs the suite. */
function bare(): NodeJS.ProcessEnv {
  const { PATH, HOME, LANG, TZ } = process.env;
  return { PATH, HOME, LANG, ...(TZ ? { TZ } : {}) };
}

export function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}
