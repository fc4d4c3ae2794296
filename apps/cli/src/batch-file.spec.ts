import { expect, test } from '@jest/globals';
import { readBatch } from './batch-file.js';

const job = { command: ['make', 'test'] };
const line = JSON.stringify(job);

test('a document is taken as it is', () => {
  const document = { name: 'nightly', description: 'all of it', jobs: [job, job] };
  expect(readBatch(JSON.stringify(document, null, 2))).toEqual(document);
});

test('lines are jobs; empty ones are nothing', () => {
  expect(readBatch(`${line}\n\n${line}\r\n`)).toEqual({ jobs: [job, job] });
  expect(readBatch(line)).toEqual({ jobs: [job] });
});

test.each<[string, string, RegExp]>([
  ['nothing', '', /no jobs/],
  ['an empty document', '{"jobs": []}', /no jobs/],
  ['a line that is no JSON', `${line}\nmake test`, /^Line 2 is no job/],
  ['a line that is no object', `${line}\n\n["make"]`, /^Line 3 is no job/],
])('%s is refused', (_, text, words) => expect(() => readBatch(text)).toThrow(words));
