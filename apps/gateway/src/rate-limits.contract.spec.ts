import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { adminOf, startStack, type Client, type Stack } from '#testing';
import { newcomer } from './live/second-user.harness.js';
import { raw } from './raw.harness.js';

const most = 20;
let stack: Stack;
let admin: Client;
let other: Client;

beforeAll(async () => {
  const settings = { RUNLEDGER_RATE_LIMITS: 'on', RUNLEDGER_RATE_PER_MINUTE: String(most) };
  stack = await startStack(topology, { ...settings, RUNLEDGER_RATE_AUTH_PER_MINUTE: '100' });
  admin = await adminOf(stack);
  other = await newcomer(stack, 'somebody', 'operator');
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const limits = ({ headers }: { headers: Headers }) =>
  ['limit', 'remaining', 'reset'].map((name) => Number(headers.get(`x-ratelimit-${name}`) ?? NaN));

test('each answer of the tasks surface says how much is left; what is over is 429, for that user alone', async () => {
  const paths = ['/api/tasks', '/api/tasks/no-such-task', '/api/logs?limit=0', '/api/logs'];
  for (let n = 1; n <= most; n++) {
    const answer = await admin.get(paths[n % paths.length]!);
    expect([n, answer.status]).not.toEqual([n, 429]);
    const [limit, remaining, reset] = limits(answer);
    expect([n, limit, remaining]).toEqual([n, most, most - n]);
    const wait = reset! - Date.now() / 1_000;
    expect(wait > -2 && wait <= 61).toBe(true);
  }
  const over = await admin.get<{ error: { code: string; message: string } }>('/api/tasks');
  expect(over.status).toBe(429);
  expect(over.body.error).toMatchObject({
    code: 'TOO_MANY_REQUESTS',
    message: expect.stringMatching(/try again in \d+ s/),
  });
  expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(limits(over).slice(0, 2)).toEqual([most, 0]);
  const theirs = await other.get('/api/tasks');
  expect([theirs.status, ...limits(theirs).slice(0, 2)]).toEqual([200, most, most - 1]);
});

test('whoever is nobody is counted by his address; surfaces that limit nothing, and /health, count nobody', async () => {
  const anonymous = () => fetch(`${stack.url}/api/tasks`);
  const first = await anonymous();
  expect([first.status, ...limits(first).slice(0, 2)]).toEqual([401, most, most - 1]);
  for (let n = 0; n < 2 * most; n++) {
    const [health, native] = await Promise.all([fetch(`${stack.url}/health`), admin.get('/api/v1/me')]);
    expect([health.status, native.status]).toEqual([200, 200]);
    expect([limits(health), limits(native)].flat().every(Number.isNaN)).toBe(true);
  }
  expect(limits(await anonymous())[1]).toBe(most - 2);
});

test('an address that is written another way is the same address', async () => {
  const third = await newcomer(stack, 'somebody-else', 'operator');
  const authorization = third.header('authorization');
  const targets = ['/api/%74asks', '/%61pi/tasks', '/api/tasks#x', 'http://example.com/api/tasks'];
  for (const [n, target] of targets.entries()) {
    const { status, headers, body } = await raw(stack.url, target, { authorization });
    expect([target, status, headers['cache-control']]).toEqual([target, 200, 'no-store']);
    expect([target, Number(headers['x-ratelimit-remaining'])]).toEqual([target, most - n - 1]);
    expect(Object.keys(JSON.parse(body) as object)).toContain('tasks');
    const refused = await raw(stack.url, target, {});
    expect([refused.status, JSON.parse(refused.body)]).toMatchObject([401, { error: { code: 'UNAUTHORIZED' } }]);
  }
});
