import { expect, test } from '@jest/globals';
import { refused, unreachable } from './refusals.js';

const url = 'http://runs.example';
const told = (status: number, body: unknown, headers = {}) =>
  refused(new Response(null, { status, headers }), typeof body === 'string' ? body : JSON.stringify(body), url);

test.each<[string, number, unknown, string]>([
  ['a problem document', 409, { detail: 'The run is already over', errors: [] }, 'The run is already over.'],
  [
    'the places of a problem document',
    422,
    { detail: 'x', errors: [{ path: 'status', message: 'is none' }] },
    'The server refuses this input: status: is none.',
  ],
  [
    "the job runner's list",
    422,
    { detail: [1, 2, 3, 4, 5, 6, 7].map((job) => ({ loc: ['body', 'jobs', job, 'env'], msg: 'is none' })) },
    'The server refuses this input: jobs.1.env: is none; jobs.2.env: is none; jobs.3.env: is none; jobs.4.env: is none; jobs.5.env: is none; and 2 more.',
  ],
  ['a right that is missing', 403, { detail: 'Admin only' }, 'Not allowed: Admin only.'],
  ['another server', 404, '<html>', 'http://runs.example answers 404, and not as Runledger does: check --url.'],
  [
    'the wrong password',
    401,
    { detail: 'Invalid credentials' },
    'http://runs.example knows nobody with this name and password.',
  ],
])('%s', (_, status, body, message) => expect(told(status, body).message).toBe(message));

test('what passes says when to come back', () => {
  expect(told(503, { detail: 'No database' }, { 'retry-after': '7' })).toMatchObject({
    message: 'Runledger is not ready (No database): try again in 7 s.',
    passing: true,
  });
  expect(told(404, { detail: 'No such run' }).passing).toBe(false);
});

test.each<[string, object, RegExp]>([
  ['nobody listens', { code: 'ECONNREFUSED' }, /^Nothing listens at http:\/\/runs.example: start Runledger/],
  [
    'nobody is called so',
    { code: 'ENOTFOUND', message: 'getaddrinfo ENOTFOUND' },
    /cannot be reached \(getaddrinfo ENOTFOUND\)/,
  ],
])('%s', (_, cause, words) => {
  expect(unreachable(new TypeError('fetch failed', { cause }), url)).toMatchObject({
    message: expect.stringMatching(words),
    passing: true,
  });
});
