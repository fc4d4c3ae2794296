import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  adminOf,
  eventually,
  HttpReceiver,
  removeTestDir,
  signIn,
  startStack,
  testDir,
  type Client,
  type Stack,
} from '#testing';
import { addUser } from '../../live/second-user.harness.js';
import {
  define,
  eventsOf,
  noop,
  runToEnd,
  sh,
  type LedgerEvent,
  type List,
  type Problem,
  type Run,
} from './native.harness.js';
import { type z } from 'zod';
import { type createdWebhook, type nativeDelivery, type nativeWebhook } from './webhooks.shapes.js';

type Webhook = z.infer<typeof nativeWebhook>;
type Created = z.infer<typeof createdWebhook>;
type Delivery = z.infer<typeof nativeDelivery>;
type Verify = (secret: string, headers: object, body: string) => LedgerEvent;

let stack: Stack;
let admin: Client;
let ann: Client;
let bob: Client;
let watching: Client;
let receiver: HttpReceiver;
let ntfy: HttpReceiver;
const secrets: string[] = [];
const dir = testDir('webhooks');

beforeAll(async () => {
  ntfy = await HttpReceiver.start();
  stack = await startStack(topology, {
    ...{ RUNLEDGER_OUTBOUND_ALLOW: '127.0.0.1', RUNLEDGER_LOG_LEVEL: 'trace' },
    ...{ RUNLEDGER_NTFY_URL: `${ntfy.url}ops`, RUNLEDGER_NTFY_TOKEN: 'tk_canary' },
  });
  admin = await adminOf(stack);
  for (const [name, role] of Object.entries({ ann: 'operator', bob: 'operator', watching: 'viewer' }))
    await addUser(stack.databaseUrl, name, role);
  [ann, bob, watching] = [await signIn(stack, 'ann'), await signIn(stack, 'bob'), await signIn(stack, 'watching')];
  receiver = await HttpReceiver.start();
}, 90_000);
afterAll(async () => {
  await Promise.all([receiver.close(), ntfy.close()]);
  await stack.stop();
  removeTestDir(dir);
}, 60_000);

async function subscribe(by: Client, body: object = {}, headers: Record<string, string> = {}): Promise<Created> {
  const answer = await by.post<Created>('/api/v1/webhooks', { url: receiver.url, ...body }, headers);
  if (answer.status !== 201) throw new Error(`${answer.status}: ${answer.text}`);
  secrets.push(answer.body.secret);
  return answer.body;
}
const remove = (by: Client, { id }: { id: string }) => by.call('DELETE', `/api/v1/webhooks/${id}`);
const listOf = async (by: Client) => (await by.get<List<Webhook>>('/api/v1/webhooks?limit=1000')).body.items;
const deliveriesOf = async (by: Client, { id }: { id: string }) =>
  (await by.get<List<Delivery>>(`/api/v1/webhooks/${id}/deliveries?limit=1000`)).body.items;

/** The one that the page about webhooks shows. */
async function documented(): Promise<Verify> {
  const page = readFileSync(path.resolve(import.meta.dirname, '../../../../../docs/webhooks.md'), 'utf8');
  const [, code = ''] = /```js\n([\s\S]*?)```/.exec(page) ?? [];
  const file = path.join(dir, 'verify.mjs');
  writeFileSync(file, code);
  return ((await import(pathToFileURL(file).href)) as { verify: Verify }).verify;
}

test('POST /webhooks: the secret is shown once; each event is a signed Event, in order', async () => {
  const made = await subscribe(ann, { types: ['RunRequested', 'RunSucceeded'] });
  expect(made).toEqual({
    ...{ id: expect.any(String), url: receiver.url, types: ['RunRequested', 'RunSucceeded'], processes: [] },
    ...{ owner: expect.any(String), enabled: true, reason: null, createdAt: expect.any(String) },
    secret: expect.stringMatching(/^[\w-]{43}$/),
  });
  const { secret: _, ...shown } = made;
  expect(await listOf(ann)).toEqual([shown]);
  const inCapitals = await subscribe(ann, { types: ['ProcessRetired'], processes: [made.id.toUpperCase()] });
  expect(inCapitals.processes).toEqual([made.id]);
  await remove(ann, inCapitals);
  const env = { A_TOKEN: 'canary-in-an-environment' };
  const run = await runToEnd(ann, { kind: 'command', command: ['true'], env });
  await eventually('both', () => Promise.resolve(receiver.received.length === 2));
  const verify = await documented();
  const told = receiver.received.map(({ headers, body }) => verify(made.secret, headers, body));
  const events = await eventsOf(ann, run.id);
  expect(told).toEqual(events.filter(({ type }) => type === 'RunRequested' || type === 'RunSucceeded'));
  expect(JSON.stringify(told)).not.toContain('canary-in-an-environment');
  const [first] = receiver.received;
  expect(() => verify('another', first!.headers, first!.body)).toThrow();
  expect(() => verify(made.secret, first!.headers, `${first!.body} `)).toThrow();
  const old = { ...first!.headers, 'x-runledger-timestamp': '1000000000' };
  expect(() => verify(made.secret, old, first!.body)).toThrow();
  const log = await eventually('the log', async () => {
    const items = await deliveriesOf(ann, made);
    return items.length === 2 && items;
  });
  expect(log.map(({ event }) => event)).toEqual(told.map(({ id }) => id).reverse());
  expect(log[0]).toMatchObject({ status: 'delivered', attempts: 1, answer: '200 thanks' });
  expect(log.map(({ id }) => id).reverse()).toEqual(
    receiver.received.map(({ headers }) => headers['x-runledger-delivery']),
  );
  const page = await ann.get<List<Delivery>>(`/api/v1/webhooks/${made.id}/deliveries?limit=1`);
  const next = await ann.get<List<Delivery>>(`/api/v1/webhooks/${made.id}/deliveries?limit=1&cursor=${page.body.next}`);
  expect([...page.body.items, ...next.body.items, next.body.next]).toEqual([...log, null]);

  receiver.received.length = 0;
  const replay = await ann.post<Webhook>(`/api/v1/webhooks/${made.id}/replay`, { from: told[0]!.position });
  expect([replay.status, replay.body]).toEqual([202, shown]);
  await eventually('both again', () => Promise.resolve(receiver.received.length === 2));
  expect(receiver.received.map(({ headers, body }) => verify(made.secret, headers, body))).toEqual(told);
  expect((await remove(ann, made)).status).toBe(204);
  expect(await listOf(ann)).toEqual([]);
  expect((await remove(ann, made)).status).toBe(404);
});

test('the same Idempotency-Key answers the same webhook, its secret too', async () => {
  const key = { 'idempotency-key': 'one-webhook' };
  const [first, again] = [await subscribe(ann, {}, key), await subscribe(ann, {}, key)];
  expect(again).toEqual(first);
  await remove(ann, first);
});

describe('who may', () => {
  test('operators of their own, admins of all, nobody else', async () => {
    const made = await subscribe(ann);
    expect((await listOf(bob)).map(({ id }) => id)).not.toContain(made.id);
    expect((await listOf(admin)).map(({ id }) => id)).toContain(made.id);
    expect((await bob.post(`/api/v1/webhooks/${made.id}/replay`, { from: '1' })).status).toBe(404);
    expect((await remove(bob, made)).status).toBe(404);
    for (const [method, rest] of [
      ['POST', ''],
      ['GET', ''],
      ['DELETE', `/${made.id}`],
    ] as const) {
      const body = method === 'POST' ? { url: receiver.url } : undefined;
      expect((await watching.call(method, `/api/v1/webhooks${rest}`, body)).status).toBe(403);
    }
    expect((await remove(admin, made)).status).toBe(204);
  });

  test('and each is told of what is his own', async () => {
    const other = await HttpReceiver.start();
    const made = [await subscribe(bob, { url: other.url }), await subscribe(ann)];
    receiver.received.length = 0;
    const mine = await runToEnd(ann, noop);
    const his = await runToEnd(bob, noop);
    await eventually('all six', () => Promise.resolve(other.received.length === 3 && receiver.received.length === 3));
    const streams = ({ received }: HttpReceiver) =>
      received.map(({ body }) => (JSON.parse(body) as LedgerEvent).stream);
    expect([...new Set(streams(receiver)), ...new Set(streams(other))]).toEqual([`run-${mine.id}`, `run-${his.id}`]);
    await Promise.all([remove(bob, made[0]!), remove(ann, made[1]!), other.close()]);
  });
});

test('an address inside is refused, in whatever form', async () => {
  for (const host of ['10.0.0.1', '169.254.169.254', '0xa9fea9fe', '[::1]', '[::ffff:10.0.0.1]', '[64:ff9b::a00:1]']) {
    const { status, body } = await ann.post<Problem>('/api/v1/webhooks', { url: `http://${host}/` });
    expect([host, status, body.code, body.errors[0]?.path]).toEqual([host, 422, 'OUTBOUND_REFUSED', 'url']);
  }
});

test('whoever asks for it is told of a run that failed, over ntfy', async () => {
  const policies = { notify: { on: ['completion', 'error'] }, priority: 2 };
  const process = await define(ann, { name: 'nightly', action: sh('exit 3'), policies });
  expect(process.policies).toEqual(policies);
  const { body: run } = await ann.post<Run>(`/api/v1/processes/${process.id}/run`);
  await eventually('the message', () => Promise.resolve(ntfy.received.length === 1));
  const [told] = ntfy.received;
  expect([told!.path, told!.body]).toEqual(['/ops', 'nightly has failed: exit code 3']);
  const shown = { 'x-title': 'Task Failed', 'x-priority': 'high', 'x-tags': 'rotating_light' };
  expect(told!.headers).toMatchObject({ ...shown, authorization: 'Bearer tk_canary' });
  const sent = await eventually('its event', async () => {
    const { body } = await admin.get<List<LedgerEvent>>('/api/v1/events?type=NotificationSent');
    return body.items[0];
  });
  expect(sent.data).toMatchObject({ run: run.id, process: process.id, owner: run.owner, channel: 'ntfy', attempts: 1 });
});

test('no secret is in an event, an answer or a log', async () => {
  const { text } = await admin.get('/api/v1/events?type=WebhookCreated&limit=1000');
  expect(text).toContain('"secret":{"sealed":"');
  const shown = [text, (await admin.get('/api/v1/webhooks')).text, stack.logs()].join('\n');
  expect(secrets.length).toBeGreaterThan(4);
  for (const secret of [...secrets, 'tk_canary']) expect(shown).not.toContain(secret);
});
