import { type Pool } from 'pg';
import { type MikroORM } from '@mikro-orm/postgresql';
import { type Bus } from '#bus';
import { type Ledger } from '#ledger';
import { type Secrets } from '#secrets';
import { type Config } from './config.js';
import { type Log } from './logger.js';
import { type Metrics } from './metrics.js';

/** What every part of a service may need, made once at start. In solo all five services share one. */
export class Context {
  config: Config;
  log: Log;
  bus: Bus;
  ledger: Ledger;
  orm: MikroORM;
  pool: Pool;
  /** Connections that questions do not get: for the ledger's flushes and the executor's lease. */
  reserved: Pool;
  /** Of the services that close or open them: the gateway, the executor and the scheduler. */
  secrets: Secrets;
  metrics: Metrics;
}
