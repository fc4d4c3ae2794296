import { defineEntity, p } from '@mikro-orm/core';
import { type ProcessRow, type RunRow } from '#domain';

/** `run_view`: what lists filter and order by, beside the whole row. */
export const RunView = defineEntity({
  name: 'RunView',
  tableName: 'run_view',
  properties: {
    id: p.uuid().primary(),
    born: p.bigint('string'),
    number: p.integer(),
    processId: p.uuid().nullable(),
    processNumber: p.integer().nullable(),
    status: p.text(),
    owner: p.text(),
    batch: p.text().nullable(),
    server: p.text().nullable(),
    requestedAt: p.datetime(),
    startedAt: p.datetime().nullable(),
    row: p.json<RunRow>().columnType('text'),
  },
});

export const ProcessView = defineEntity({
  name: 'ProcessView',
  tableName: 'process_view',
  properties: {
    id: p.uuid().primary(),
    born: p.bigint('string'),
    number: p.integer(),
    name: p.text(),
    description: p.text().nullable(),
    kind: p.text(),
    owner: p.text(),
    enabled: p.boolean(),
    retired: p.boolean(),
    row: p.json<ProcessRow>(),
  },
});

export const historyEntities = [RunView, ProcessView];
