/** The contexts of services that share one database and one in-process bus, for tests that need no whole stack. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { admit, birth, type Born } from '#admission';
import { createInProcessBus, InProcessExchange, PostgresPayloads, bells } from '#bus';
import { derivedId, newId, type Meta, type RunEvent } from '#domain';
import { Ledger } from '#ledger';
import { Secrets } from '#secrets';
import { Context, createLogger, Metrics, migrate, openDatabase, readConfig, reserveConnections } from '#service';
import { authEntities } from '../../../apps/auth/src/accounts.js';
import { historyEntities } from '../../../apps/history/src/views.js';
import { steps } from '../../../apps/migrations.js';
import { createDatabase, type TestDatabase } from './database.js';
import { removeTestDir, testDir } from './test-dir.js';

const entities = [...authEntities, ...historyEntities];

async function prepare(url: string): Promise<void> {
  const { orm, pool } = await openDatabase(url, 2, entities, steps, createLogger('test', 'silent'));
  await migrate(orm, pool);
  await orm.close(true);
}

export interface Logged {
  level: string;
  msg: string;
  err?: { message: string };
}

export class World {
  readonly exchange = new InProcessExchange();
  readonly dir = testDir('world');
  readonly masterKeyFile = path.join(this.dir, 'data/master-key');
  /** Warnings and worse of all contexts. */
  readonly logged: Logged[] = [];
  private readonly contexts: Context[] = [];

  private constructor(
    readonly url: string,
    private readonly database: TestDatabase | null,
  ) {}

  /** On a fresh database of the test run's server, or on one of the caller's own, which is migrated. */
  static async create(url?: string): Promise<World> {
    if (url === undefined) {
      const database = await createDatabase({ template: 'world', prepare });
      return new World(database.url, database);
    }
    await prepare(url);
    return new World(url, null);
  }

  async open(settings: NodeJS.ProcessEnv = {}): Promise<Context> {
    const context = new Context();
    const instance = String(this.contexts.length + 1);
    context.config = readConfig({
      ...{ DATABASE_URL: this.url, RUNLEDGER_DATA: path.join(this.dir, 'data'), RUNLEDGER_INSTANCE: instance },
      ...{ RUNLEDGER_EXECUTOR_ON_STOP: 'end', RUNLEDGER_KILL_GRACE_SECONDS: '1', RUNLEDGER_BARE: 'on' },
      ...{ RUNLEDGER_MASTER_KEY_FILE: this.masterKeyFile, ...settings },
    });
    context.log = createLogger('test', 'warn', {
      write: (line: string) => void this.logged.push(JSON.parse(line) as Logged),
    });
    context.metrics = new Metrics('test');
    const { orm, pool } = await openDatabase(this.url, context.config.RUNLEDGER_POOL, entities, steps, context.log);
    const reserved = reserveConnections(this.url, context.log);
    Object.assign(context, { orm, pool, reserved, secrets: await Secrets.start(pool, context.config.masterKeyFile) });
    const { exchange } = this;
    context.bus = createInProcessBus({ service: 'gateway', payloads: new PostgresPayloads(pool), exchange });
    await context.bus.connect();
    context.ledger = new Ledger(pool, {
      flushes: reserved,
      onFlushed: (flushed) => context.bus.ring(bells.flushed, flushed),
    });
    this.contexts.push(context);
    return context;
  }

  async close(): Promise<void> {
    for (const { ledger, bus, orm, reserved } of this.contexts) {
      await ledger.drained();
      await bus.close();
      await reserved.end();
      await orm.close(true);
    }
    await this.database?.drop();
    removeTestDir(this.dir);
  }
}

export const metaBy = (actor = 'ann'): Meta => ({
  ...{ now: new Date().toISOString(), actor, correlationId: newId(), commandId: newId() },
});

let numbers = 1_000_000;

export const bornOf = (more: Partial<Born> = {}): Born => ({
  ...{ number: ++numbers, name: 'test', process: null, action: { kind: 'noop' }, policies: {}, owner: 'ann' },
  ...{ batch: null, scheduledFor: null, retryOf: null, parameters: null, payload: null, ...more },
});

export const shell = (line: string) => ({ action: { kind: 'command' as const, shell: line } });
export const processOf = (name: string) => ({ id: derivedId('test', name), number: 1, name, revision: 1 });

/** A run asked for by hand; answers its id once it is on disk. */
export async function request({ ledger }: Context, more: Partial<Born> = {}): Promise<string> {
  const id = newId();
  await admit(ledger, id, bornOf(more), metaBy(more.owner));
  return id;
}

/** A scheduled fire of a process, due `ms` from now (the past is negative). */
export async function fire({ ledger }: Context, name: string, ms: number, more: Partial<Born> = {}): Promise<string> {
  const id = newId();
  const scheduledFor = new Date(Date.now() + ms).toISOString();
  await ledger.append(birth(id, bornOf({ process: processOf(name), scheduledFor, ...more }), metaBy()));
  return id;
}

export async function eventsOf({ ledger }: Context, run: string): Promise<RunEvent[]> {
  return (await ledger.read(`run-${run}`)) as unknown as RunEvent[];
}

export const typesOf = async (context: Context, run: string) =>
  (await eventsOf(context, run)).map(({ type }) => type as string);

/** Asks until there is an answer, a minute at most: far longer than it takes, since a busy machine may stall. */
export async function eventually<T>(ask: () => Promise<T | undefined | false> | T | undefined | false, ms = 60_000) {
  for (const end = performance.now() + ms; ; await sleep(10)) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`it did not happen within ${ms} ms: ${ask}`);
  }
}

/** The first event of the type, once it is there. */
export async function happens<T extends RunEvent['type']>(context: Context, run: string, type: T) {
  type Event = Extract<RunEvent, { type: T }>;
  const is = (event: RunEvent): event is Event => event.type === type;
  return eventually(async () => (await eventsOf(context, run)).find(is)).catch(async (error: unknown) => {
    throw new Error(`No ${type} after ${(await typesOf(context, run)).join(', ')}`, { cause: error });
  });
}
