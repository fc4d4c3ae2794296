import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { HttpReceiver } from '#testing';
import { bells } from '#bus';
import { newId, type RunEvent } from '#domain';
import { type StoredEvent } from '#ledger';
import { type Context } from '#service';
import { bornOf, eventually, metaBy, processOf, request, World } from '../../../../libs/testing/src/context.js';
import { Courier } from './courier.js';
import { secretPlace } from './webhook.receiver.js';
import { everythingAfter, register, subscribe, tell, verified, type Hook } from './webhooks.harness.js';

let world: World;
let contexts: Context[];
let context: Context;
let receiver: HttpReceiver;
const couriers: Courier[] = [];

beforeAll(async () => {
  world = await World.create();
  const settings = { RUNLEDGER_OUTBOUND_ALLOW: '127.0.0.1' };
  contexts = await Promise.all([world.open(settings), world.open(settings)]);
  context = contexts[0]!;
  await register(context, 'root', 'admin');
});
beforeEach(async () => {
  receiver = await HttpReceiver.start();
});
afterEach(async () => {
  await Promise.all(couriers.splice(0).map((courier) => courier.onApplicationShutdown()));
  await receiver.close();
  await context.pool.query('delete from subscription; delete from queue');
});
afterAll(() => world.close());

function start(of: Context): Courier {
  const courier = new Courier(of);
  couriers.push(courier);
  courier.onApplicationBootstrap();
  return courier;
}

const finished = (): RunEvent[] => {
  const at = new Date().toISOString();
  return [
    { type: 'RunStarted', data: { attempt: 1, epoch: '1', executor: 'x', server: 'here', at } },
    { type: 'RunSucceeded', data: { attempt: 1, at, exitCode: 0, signal: null, output: null } },
  ];
};

/** A run from its birth to its end; answers its stream. */
async function ran(owner = 'ann', process?: string): Promise<string> {
  const id = newId();
  const born = { ...bornOf({ owner }), process: process ? processOf(process) : null, priority: 5 };
  const birth: RunEvent = { type: 'RunRequested', data: { ...born, requestedAt: new Date().toISOString() } };
  await context.ledger.append({
    stream: `run-${id}`,
    expected: 0,
    events: [birth, ...finished()],
    meta: metaBy(owner),
  });
  return `run-${id}`;
}

const positions = (events: readonly { position: string }[]) => events.map(({ position }) => position);
const deliveries = async ({ webhooks, id, as }: Hook) =>
  (await webhooks.deliveries({ data: { id, any: false, limit: 1_000 }, meta: as })).items;
const cards = async ({ webhooks }: Hook) =>
  (await webhooks.list({ data: { limit: 100 }, meta: { actor: 'x', correlationId: 'x' } })).items;

async function arrives(count: number, at = receiver): Promise<void> {
  await eventually(() => at.received.length >= count);
}

test('away, then wrong, then mute: it gets every event in the end, in order and signed, and holds nobody up', async () => {
  const other = await HttpReceiver.start();
  const quick = await subscribe(context, other.url);
  const hook = await subscribe(context, receiver.url);
  const from = await context.ledger.head();
  start(context);
  await receiver.close();
  const streams = [await ran()];
  const heard = (answer: string) => eventually(async () => (await deliveries(hook))[0]?.answer === answer);
  await heard('no answer: ECONNREFUSED');
  receiver.answer = (response) => response.writeHead(500).end('sorry');
  await receiver.listen();
  await heard('500 sorry');
  receiver.answer = () => undefined;
  await heard('no answer within 10 s');
  expect(await deliveries(hook)).toMatchObject([{ status: 'pending' }]);
  // It hangs in the meantime, and nobody else is slower for it.
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const began = performance.now();
    streams.push(await ran());
    times.push(performance.now() - began);
  }
  expect(Math.min(...times)).toBeLessThan(50);
  await arrives(3 * streams.length, other);
  expect(receiver.received).toEqual([]);
  receiver.answer = null;
  await arrives(3 * streams.length);
  const all = (await everythingAfter(context, from)).filter(({ stream }) => streams.includes(stream));
  const meta = (event: StoredEvent) => ({ ...event, meta: { ...event.meta } });
  expect(verified(hook, receiver.received)).toEqual(all.map(meta));
  expect(positions(verified(quick, other.received))).toEqual(positions(all));
  const log = await deliveries(hook);
  expect(log.map(({ position }) => position).reverse()).toEqual(positions(all));
  const [tried, ...once] = log.map(({ attempts }) => attempts).reverse();
  expect(tried).toBeGreaterThan(3);
  expect(new Set(once)).toEqual(new Set([1]));
  expect(new Set(log.map(({ status, answer }) => `${status} ${answer}`))).toEqual(new Set(['delivered 200 thanks']));
  expect(receiver.received.map(({ headers }) => headers['x-runledger-delivery'])).toEqual(
    log.map(({ id }) => id).reverse(),
  );
  await other.close();
}, 90_000);

test('what is kept is the newest thousand deliveries', async () => {
  const hook = await subscribe(context, receiver.url);
  start(context);
  for (let i = 0; i < 400; i++) await ran();
  await arrives(1_200);
  const text = 'select from delivery where subscription = $1';
  await eventually(async () => (await context.pool.query(text, [hook.id])).rowCount === 1_000);
  expect((await deliveries(hook))[0]!.position).toBe(positions(verified(hook, receiver.received)).at(-1));
}, 60_000);

describe('somebody sees', () => {
  test('what is his own, of the types and processes that he names; an admin everything', async () => {
    const [own, picky, ofProcess, all] = await Promise.all(
      ['own', 'picky', 'process', 'all'].map(() => HttpReceiver.start()),
    );
    const hooks = [
      await subscribe(context, all!.url, { owner: 'root', processes: [] }),
      await subscribe(context, picky!.url, { types: ['RunSucceeded'] }),
      await subscribe(context, ofProcess!.url, { processes: [processOf('p').id] }),
      await subscribe(context, own!.url),
    ];
    const from = await context.ledger.head();
    start(context);
    const mine = [await ran(), await ran('ann', 'p'), await ran('ann', 'q')];
    const theirs = [await ran('bob'), await ran('bob', 'p')];
    const events = (await everythingAfter(context, from)).filter(({ stream }) => [...mine, ...theirs].includes(stream));
    // The three webhooks that came after its own are of the ledger too.
    await arrives(events.length + 3, all);
    await arrives(9, own);
    await arrives(3, picky);
    await arrives(3, ofProcess);
    const got = [all!, picky!, ofProcess!, own!].map(({ received }, i) => positions(verified(hooks[i]!, received)));
    const of = (wanted: (event: StoredEvent) => boolean) => positions(events.filter(wanted));
    expect(got[0]!.slice(3)).toEqual(positions(events));
    expect(got[1]).toEqual(of(({ stream, type }) => mine.includes(stream) && type === 'RunSucceeded'));
    expect(got[2]).toEqual(of(({ stream }) => stream === mine[1]));
    expect(got[3]).toEqual(of(({ stream }) => mine.includes(stream)));
    await Promise.all([own, picky, ofProcess, all].map((each) => each!.close()));
  });

  test('no more than he may when it is told: an admin who is none any more', async () => {
    await register(context, 'eve', 'admin');
    const hook = await subscribe(context, receiver.url, { owner: 'eve' });
    start(context);
    await ran('bob');
    await arrives(3);
    receiver.answer = (response) => response.writeHead(500).end();
    await ran('bob');
    await eventually(async () => (await deliveries(hook))[0]?.status === 'pending');
    const at = new Date().toISOString();
    await tell(context, 'eve', { type: 'UserRoleAssigned', data: { role: 'operator', by: 'root', at } });
    receiver.answer = null;
    const own = await ran('eve');
    await arrives(6);
    expect(
      verified(hook, receiver.received)
        .slice(3)
        .map(({ stream }) => stream),
    ).toEqual([own, own, own]);
  });

  test('nothing once he is deactivated, and his webhook says so', async () => {
    await register(context, 'max', 'operator');
    const hook = await subscribe(context, receiver.url, { owner: 'max' });
    start(context);
    await tell(context, 'max', { type: 'UserDeactivated', data: { by: 'root', at: new Date().toISOString() } });
    await ran('max');
    const reason = 'its owner may not have webhooks any more';
    await eventually(async () => (await cards(hook)).find(({ id }) => id === hook.id)?.disabled === reason);
    expect(receiver.received).toEqual([]);
  });
});

test('a closed address is never come to', async () => {
  const closed = await world.open();
  const hook = await subscribe(context, receiver.url.replace('127.0.0.1', 'localhost'));
  await expect(subscribe(closed, receiver.url)).rejects.toMatchObject({ code: 'OUTBOUND_REFUSED' });
  start(closed);
  await ran();
  const [delivery] = await eventually(async () => (await deliveries(hook)).length > 0 && (await deliveries(hook)));
  expect(delivery).toMatchObject({ status: 'pending', answer: 'requests to this address are not allowed' });
  expect(receiver.connections).toBe(0);
});

test('after 24 hours it is disabled, with an event; a replay goes on where it failed', async () => {
  const hook = await subscribe(context, receiver.url);
  receiver.answer = (response) => response.writeHead(503).end();
  const courier = start(context);
  const stream = await ran();
  await eventually(async () => (await deliveries(hook))[0]?.status === 'pending');
  await courier.onApplicationShutdown();
  couriers.length = 0;
  await context.pool.query(`update subscription set since = since - interval '24 hours' where id = $1`, [hook.id]);
  start(context);
  const card = () => cards(hook).then((all) => all.find(({ id }) => id === hook.id));
  const disabled = await eventually(async () => (await card())?.disabled ?? undefined);
  expect(disabled).toBe('not delivered for 24 hours: 503');
  expect((await context.ledger.read(`webhook-${hook.id}`)).map(({ type }) => type)).toEqual([
    'WebhookCreated',
    'WebhookDisabled',
  ]);
  const [failed] = await deliveries(hook);
  expect(failed).toMatchObject({ status: 'failed' });
  receiver.answer = null;
  await ran();
  const { position: from } = failed!;
  const answer = await hook.webhooks.replay({ data: { id: hook.id, any: false, from }, meta: hook.as });
  expect(answer).toMatchObject({ disabled: null, id: hook.id });
  await arrives(6);
  expect(verified(hook, receiver.received)[0]).toMatchObject({ stream, position: from });
});

test('a replay delivers again from a position on, under other names; a deleted one is told nothing', async () => {
  const hook = await subscribe(context, receiver.url);
  start(context);
  await ran();
  await ran();
  await arrives(6);
  const before = receiver.received.splice(0);
  const from = verified(hook, before)[1]!.position;
  await hook.webhooks.replay({ data: { id: hook.id, any: false, from }, meta: hook.as });
  await arrives(5);
  expect(positions(verified(hook, receiver.received))).toEqual(positions(verified(hook, before)).slice(1));
  const names = [...before, ...receiver.received].map(({ headers }) => headers['x-runledger-delivery']);
  expect(new Set(names).size).toBe(11);
  await hook.webhooks.delete({ data: { id: hook.id, any: false }, meta: hook.as });
  expect((await context.pool.query('select from secret_holder where holder = $1', [hook.id])).rowCount).toBe(0);
  const other = await subscribe(context, receiver.url);
  receiver.received.length = 0;
  await ran();
  await arrives(3);
  expect(verified(other, receiver.received)).toHaveLength(3);
});

test('of two schedulers one delivers; when its connection is cut the other goes on, and nothing is lost or doubled out of order', async () => {
  const hook = await subscribe(context, receiver.url);
  for (const each of contexts) start(each);
  const streams: string[] = [];
  for (let i = 0; i < 60; i++) {
    streams.push(await ran());
    if (i % 20 !== 10) continue;
    await arrives(3);
    await context.pool.query(
      `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 7265005 and database = (select oid from pg_database where datname = current_database())`,
    );
  }
  await eventually(() => new Set(positions(verified(hook, receiver.received))).size === 180);
  const firsts = [...new Set(positions(verified(hook, receiver.received)))];
  const sorted = [...firsts].sort((a, b) => Number(BigInt(a) - BigInt(b)));
  expect(firsts).toEqual(sorted);
}, 60_000);

test('what was told is not told again because the database does not take the word of it', async () => {
  const hook = await subscribe(context, receiver.url, { types: ['RunSucceeded'] });
  await context.pool.query('alter table delivery add constraint refused check (false) not valid');
  try {
    start(context);
    await ran();
    await arrives(1);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(receiver.received).toHaveLength(1);
  } finally {
    await context.pool.query('alter table delivery drop constraint refused');
  }
  await eventually(async () => (await deliveries(hook)).length === 1);
  await ran();
  await arrives(2);
  expect(new Set(positions(verified(hook, receiver.received))).size).toBe(2);
});

test('the log of deliveries keeps a thousand, however few a line has made', async () => {
  const hook = await subscribe(context, receiver.url, { types: ['RunSucceeded'] });
  await context.pool.query(
    `insert into delivery (subscription, id, position, event, status, attempts, at, answer)
      select $1, gen_random_uuid(), n, gen_random_uuid(), 'delivered', 1, now(), '200' from generate_series(1, 1100) n`,
    [hook.id],
  );
  start(context);
  await ran();
  const count = async () =>
    (await context.pool.query('select from delivery where subscription = $1', [hook.id])).rowCount;
  await eventually(async () => (await count()) === 1_000);
});

test('a webhook that is ordered twice by one key is one, the last that there may be too', async () => {
  const hooks: Hook[] = [];
  for (let i = 0; i < 49; i++) hooks.push(await subscribe(context, receiver.url, { owner: 'bob' }));
  const { webhooks, secret } = hooks[0]!;
  const meta = { actor: 'bob', correlationId: newId(), idempotency: { key: 'once', hash: 'h' } };
  const order = () => {
    const sealed = context.secrets.sealOne(secretPlace, secret);
    return webhooks.create({
      data: { id: newId(), url: receiver.url, types: [], processes: [], secret: sealed },
      meta,
    });
  };
  const first = await order();
  expect((await order()).events).toEqual(first.events);
  await expect(subscribe(context, receiver.url, { owner: 'bob' })).rejects.toMatchObject({ code: 'TOO_MANY_WEBHOOKS' });
});

test('where nobody is to be told, bells cost no question to the database', async () => {
  start(context);
  await request(context);
  let questions = 0;
  const count = () => questions++;
  context.pool.on('acquire', count);
  for (let i = 0; i < 1_000; i++) {
    context.bus.ring(bells.flushed, { first: '1', last: String(i), types: ['RunSucceeded'], hooks: [] });
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  context.pool.off('acquire', count);
  expect(questions).toBeLessThanOrEqual(2);
});
