export { type Config, ConfigError, masterKeyFile, readConfig, readRetention } from './config.js';
export { Context } from './context.js';
export { type Entities, migrate, openDatabase, reserveConnections, type Step } from './database.js';
export { createLogger, type Log, nestLogger } from './logger.js';
export { Metrics } from './metrics.js';
export { ServiceModule } from './module.js';
export { committed, metaOf, systemMeta } from './orders.js';
export { openContext, openOps, outliveRejections, runUntilStopped, type ServiceParts, stopContext } from './start.js';
export { runService } from './run-service.js';
