import { claimSql } from './claim.sql.js';
import { purgeSql } from './purge.sql.js';
import { outputSql, queueSql } from './queue.sql.js';

export const executorMigrations: [name: string, sql: string][] = [
  ['executor-0001-queue', queueSql],
  ['executor-0002-claim', claimSql],
  ['executor-0003-output', outputSql],
  ['executor-0004-purge', purgeSql],
];
