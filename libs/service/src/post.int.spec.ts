import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { HttpReceiver } from '#testing';
import { opening, Outbound, OutboundRefused } from './outbound.js';
import { post, problemOf } from './post.js';

let receiver: HttpReceiver;
let canary: HttpReceiver;

beforeAll(async () => {
  receiver = await HttpReceiver.start();
  canary = await HttpReceiver.start();
});
beforeEach(() => {
  receiver.answer = null;
});
afterAll(async () => {
  await receiver.close();
  await canary.close();
});

const ask = (url: string, allowed: string[] = [], signal = new AbortController().signal) =>
  post(new Outbound(allowed.map((text) => opening.parse(text))), new URL(url), { headers: {}, body: 'hello', signal });

describe('nobody comes to a closed address', () => {
  test.each([
    ...['127.0.0.1', '127.1', '0x7f.1', '2130706433', '0177.0.0.1', '0', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]'],
    ...['localhost', 'localhost.', 'LOCALHOST', '１２７.0.0.1', '[64:ff9b::7f00:1]'],
  ])('%s', async (host) => {
    await expect(ask(`http://${host}:${canary.port}/`)).rejects.toThrow(OutboundRefused);
    expect(canary.connections).toBe(0);
  });

  test('not by a redirect either: that is an answer like any other', async () => {
    receiver.answer = (response) => response.writeHead(302, { location: canary.url }).end();
    expect(await ask(receiver.url, [`127.0.0.1:${receiver.port}`])).toEqual({ status: 302, body: '' });
    expect(canary.connections).toBe(0);
  });

  test('nor at another port than the one that is opened', async () => {
    await expect(ask(canary.url, [`127.0.0.1:${receiver.port}`])).rejects.toThrow(OutboundRefused);
  });
});

test('a name is looked up once: what is connected to is an address', async () => {
  const { port } = receiver;
  for (const allowed of ['localhost', `localhost:${port}`, '127.0.0.0/8']) {
    const outbound = new Outbound([opening.parse(allowed), opening.parse('::1')]);
    expect(await outbound.addressOf('localhost', port, AbortSignal.timeout(5_000))).toMatch(/^(127\.0\.0\.1|::1)$/);
    expect(await ask(`http://localhost:${port}/x?y=1`, [allowed, '::1'])).toEqual({ status: 200, body: 'thanks' });
  }
  expect(receiver.received.at(-1)).toMatchObject({ path: '/x?y=1', body: 'hello' });
  expect(receiver.received.at(-1)!.headers.host).toBe(`localhost:${port}`);
});

test('1 KiB of an answer is enough', async () => {
  receiver.answer = (response) => response.end('x\u0000'.repeat(500_000));
  const { body } = await ask(receiver.url, ['127.0.0.1']);
  expect(body).toBe('x\ufffd'.repeat(512));
});

test('what went wrong is told by its kind', async () => {
  receiver.answer = (response) => response.destroy();
  const problem = (asked: Promise<unknown>) => asked.then(() => 'none', problemOf);
  expect(await problem(ask(receiver.url, ['127.0.0.1']))).toBe('no answer: ECONNRESET');
  expect(await problem(ask(receiver.url))).toBe('requests to this address are not allowed');
  receiver.answer = () => undefined;
  const stopped = AbortSignal.timeout(50);
  expect(await problem(ask(receiver.url, ['127.0.0.1'], stopped))).toMatch(/^no answer/);
});
