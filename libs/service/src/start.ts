import { type INestApplicationContext } from '@nestjs/common';
import {
  bells,
  createInProcessBus,
  createNatsBus,
  PostgresPayloads,
  type Bus,
  type BusOptions,
  type ServiceName,
} from '#bus';
import { Ledger } from '#ledger';
import { Secrets } from '#secrets';
import { type Config } from './config.js';
import { Context } from './context.js';
import { type Entities, migrate, openDatabase, reserveConnections, type Step } from './database.js';
import { boundHeap } from './heap.js';
import { createLogger, type Log } from './logger.js';
import { Metrics, serveOps } from './metrics.js';

export interface ServiceParts {
  /** `solo`, or the one service that this process is. */
  name: ServiceName | 'solo';
  entities: Entities;
  steps: Step[];
}

/** Nobody else needs the master key. */
const keepsSecrets: ServiceParts['name'][] = ['solo', 'gateway', 'executor', 'scheduler'];

/** Config, logger, database, bus and ledger of one process: what each `main.ts` calls first. */
export async function openContext(config: Config, { name, entities, steps }: ServiceParts): Promise<Context> {
  boundHeap();
  const context = new Context();
  context.config = config;
  context.log = createLogger(name, config.RUNLEDGER_LOG_LEVEL);
  context.metrics = new Metrics(name);
  const { orm, pool } = await openDatabase(config.DATABASE_URL, config.RUNLEDGER_POOL, entities, steps, context.log);
  await patiently(() => migrate(orm, pool), context.log);
  context.orm = orm;
  context.pool = pool;
  context.reserved = reserveConnections(config.DATABASE_URL, context.log);
  if (keepsSecrets.includes(name)) context.secrets = await Secrets.start(pool, config.masterKeyFile);
  context.bus = openBus(config, name === 'solo' ? 'gateway' : name, context);
  await context.bus.connect();
  context.ledger = new Ledger(pool, {
    flushes: context.reserved,
    onFlushed: (flushed) => {
      context.metrics.flushes.inc();
      context.metrics.events.inc(Number(BigInt(flushed.last) - BigInt(flushed.first)) + 1);
      context.bus.ring(bells.flushed, flushed);
    },
  });
  return context;
}

function openBus(config: Config, service: ServiceName, { log, pool }: Context): Bus {
  const options: BusOptions = {
    service,
    log,
    defaultTimeoutMs: config.RUNLEDGER_ANSWER_SECONDS * 1_000,
    payloads: new PostgresPayloads(pool),
    onBug: (err, correlationId) => log.error({ err, correlationId }, 'a handler failed'),
    onError: (err, where) => log.warn({ err, where }, 'the bus met an error'),
  };
  return config.NATS_URL ? createNatsBus(config.NATS_URL, options) : createInProcessBus(options);
}

/** A database that is still starting, or that others are migrating, is waited for. */
async function patiently(work: () => Promise<void>, log: Log): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (attempt >= 40 || !/^(ECONN|57P|08|53)/.test(String(code))) throw error;
      log.warn({ attempt, code }, 'the database does not answer yet');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

const stopWithin = 28_000;

/** Stops taking work, finishes what is in hand, commits what was accepted, and closes everything. */
export async function stopContext(
  app: INestApplicationContext,
  { log, ledger, bus, orm, reserved }: Context,
): Promise<void> {
  log.info('stopping');
  await app.close();
  await ledger.drained();
  await bus.close();
  await reserved.end();
  await orm.close(true);
  log.info('stopped');
  log.flush();
}

/** A promise that nobody looked after is a bug to be told, and no reason to drop everything else that is in hand. */
export function outliveRejections(log: Log): void {
  process.on('unhandledRejection', (err) => log.error({ err }, 'a rejection was not handled'));
}

/**
 * Runs a started application until SIGTERM or SIGINT, then exits 0 within 30 seconds. A second signal changes nothing;
 * what hangs is cut off with exit 1.
 */
export function runUntilStopped(app: INestApplicationContext, context: Context): void {
  outliveRejections(context.log);
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), stopWithin).unref();
    try {
      await stopContext(app, context);
      process.exit(0);
    } catch (err) {
      context.log.fatal({ err }, 'stopping failed');
      process.exit(1);
    }
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop());
}

/** Probes for a service process; the gateway has its own HTTP. */
export async function openOps({ config, metrics, pool, bus }: Context): Promise<void> {
  if (config.RUNLEDGER_METRICS_PORT === 0) return;
  const ready = async () => {
    await pool.query('select 1');
    return bus.stats().connected;
  };
  await serveOps(config.RUNLEDGER_METRICS_PORT, metrics, () => ready().catch(() => false));
}
