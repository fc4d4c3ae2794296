import { eventSql } from './event.sql.js';
import { flushSql } from './flush.sql.js';

/** Name and SQL of each step, oldest first; a shipped step is never edited. */
export const ledgerMigrations: [name: string, sql: string][] = [
  ['ledger-0001-event', eventSql],
  ['ledger-0002-flush', flushSql],
];
