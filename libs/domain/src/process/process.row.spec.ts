import { expect, test } from '@jest/globals';
import { type ProcessEvent, type ProcessSettings } from './process.events.js';
import { foldProcess, type ProcessRow } from './process.row.js';

const id = '0197a3c0-0000-7000-8000-000000000002';
const settings: ProcessSettings = {
  ...{ name: 'nightly', description: null, action: { kind: 'noop' }, policies: { timeout: '1h' } },
  triggers: [{ cron: '0 2 * * *', zone: 'UTC' }],
};
const createdAt = '2026-05-01T09:00:00.000Z';
const defined: ProcessEvent = {
  type: 'ProcessDefined',
  data: { ...settings, number: 3, owner: 'ann', by: 'ann', at: createdAt },
};
const row: ProcessRow = {
  ...{ id, number: 3, owner: 'ann', revision: 1, ...settings, document: null },
  ...{ enabled: true, disabledReason: null, disabledUntil: null, retired: false, createdAt, updatedAt: createdAt },
};
const at = '2026-05-02T09:00:00.000Z';
const until = '2026-06-01T00:00:00.000Z';
const disabled: ProcessEvent = { type: 'ProcessDisabled', data: { reason: 'holiday', until, by: 'bob', at } };
const change = { name: 'daily', description: 'more', triggers: [], policies: {} };

/** Deep, so that a fold that writes into what it was given throws. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}

const rowOf = (...events: ProcessEvent[]) =>
  frozen(events).reduce((folded: ProcessRow | null, event) => frozen(foldProcess(folded, id, event)), null);

test('a definition makes the row', () => {
  expect(rowOf(defined)).toEqual(row);
});

const document = { surface: 'tasks', words: { command: 'backup', args: '{}' } };
const cases: [string, ProcessEvent[], Partial<ProcessRow>][] = [
  [
    'revised',
    [{ type: 'ProcessRevised', data: { ...settings, ...change, revision: 2, by: 'bob', at } }],
    { ...change, revision: 2 },
  ],
  [
    'revised in the words of a surface',
    [{ type: 'ProcessRevised', data: { ...settings, document, revision: 2, by: 'bob', at } }],
    { document, revision: 2 },
  ],
  ['disabled', [disabled], { enabled: false, disabledReason: 'holiday', disabledUntil: until }],
  ['enabled again', [disabled, { type: 'ProcessEnabled', data: { by: 'bob', at } }], {}],
  ['retired', [{ type: 'ProcessRetired', data: { by: 'bob', at } }], { enabled: false, retired: true }],
];

test.each(cases)('%s', (_, events, changed) => {
  expect(rowOf(defined, ...events)).toEqual({ ...row, updatedAt: at, ...changed });
});

test.each(cases)('without its definition there is no row: %s', (_, events) => {
  expect(rowOf(...events)).toBeNull();
});

test('an event of a newer version leaves the row as it is', () => {
  const newer: ProcessEvent = JSON.parse('{"type":"ProcessBlessed","data":{"at":"2027-01-01T00:00:00.000Z"}}');
  expect(rowOf(defined, newer)).toEqual(row);
  expect(rowOf(newer)).toBeNull();
});
