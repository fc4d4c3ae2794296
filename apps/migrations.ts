import { payloadMigrationSql } from '#bus';
import { ledgerMigrations } from '#ledger';
import { secretMigrations } from '#secrets';
import { authMigrations } from './auth/src/migrations/accounts.sql.js';
import { executorMigrations } from './executor/src/migrations/migrations.js';
import { historyMigrations } from './history/src/migrations/views.sql.js';
import { subscriptionMigrations } from './scheduler/src/migrations/subscription.sql.js';
import { schedulerMigrations } from './scheduler/src/migrations/timer.sql.js';

/** One database, one ordered list: the ledger first, then the bus, then the apps'. A shipped step is never edited. */
export const steps: [name: string, sql: string][] = [
  ...ledgerMigrations,
  ['bus-0001-payload', payloadMigrationSql],
  ...secretMigrations,
  ...authMigrations,
  ...schedulerMigrations,
  ...executorMigrations,
  ...historyMigrations,
  ...subscriptionMigrations,
];
