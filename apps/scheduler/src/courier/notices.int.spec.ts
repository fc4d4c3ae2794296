import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SMTPServer } from 'smtp-server';
import { freePort, HttpReceiver } from '#testing';
import { newId, notificationId, type NotificationEvent, type Policies, type RunEvent } from '#domain';
import { type Context } from '#service';
import { bornOf, eventually, metaBy, processOf, World } from '../../../../libs/testing/src/context.js';
import { Courier } from './courier.js';
import { subscribe, verified } from './webhooks.harness.js';

let world: World;
let context: Context;
let ntfy: HttpReceiver;
let smtp: SMTPServer;
let smtpPort: number;
let courier: Courier;
const letters: string[] = [];
/** What the mail server says to a letter; null takes it. */
let refusal: Error | null = null;

beforeAll(async () => {
  world = await World.create();
  smtpPort = await freePort();
  smtp = new SMTPServer({
    ...{ disabledCommands: ['STARTTLS'], authOptional: true, logger: false },
    onData(stream, _session, done) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        if (!refusal) letters.push(Buffer.concat(parts).toString());
        done(refusal);
      });
    },
  });
  await new Promise<void>((resolve) => smtp.listen(smtpPort, '127.0.0.1', resolve));
});
beforeEach(async () => {
  ntfy = await HttpReceiver.start();
  context = await world.open({
    ...{
      RUNLEDGER_OUTBOUND_ALLOW: '127.0.0.1',
      RUNLEDGER_NTFY_URL: `${ntfy.url}topic`,
      RUNLEDGER_NTFY_TOKEN: 'tk_secret',
    },
    ...{ RUNLEDGER_SMTP_URL: `smtp://127.0.0.1:${smtpPort}`, RUNLEDGER_MAIL_FROM: 'runledger@example.com' },
    ...{ RUNLEDGER_MAIL_TO: 'ops@example.com' },
  });
  courier = new Courier(context);
  courier.onApplicationBootstrap();
  await eventually(async () => (await context.pool.query('select from subscription')).rowCount === 2);
  letters.length = 0;
  refusal = null;
});
afterEach(async () => {
  await courier.onApplicationShutdown();
  await ntfy.close();
  await context.pool.query('delete from subscription');
});
afterAll(async () => {
  await new Promise<void>((resolve) => smtp.close(resolve));
  await world.close();
});

type On = NonNullable<Policies['notify']>['on'];
const started = (attempt = 1): RunEvent => {
  const at = new Date().toISOString();
  return { type: 'RunStarted', data: { attempt, epoch: '1', executor: 'x', server: 'here', at } };
};
const ending = () => ({ attempt: 1, at: new Date().toISOString(), signal: null, output: null });
const succeeded = (): RunEvent => ({ type: 'RunSucceeded', data: { ...ending(), exitCode: 0 } });
const failed = (): RunEvent => ({ type: 'RunFailed', data: { ...ending(), exitCode: 3, reason: 'exit code 3' } });
const retried = (): RunEvent => {
  const at = new Date().toISOString();
  return { type: 'RunRetryScheduled', data: { attempt: 2, dueAt: at, at } };
};

async function ran(
  on: On | undefined,
  events: RunEvent[],
  { name = 'nightly', priority = 5, at = new Date().toISOString() } = {},
) {
  const id = newId();
  const policies = on ? { notify: { on } } : {};
  const born = { ...bornOf({ policies, name }), process: processOf('p'), priority };
  const birth: RunEvent = { type: 'RunRequested', data: { ...born, requestedAt: at } };
  const meta = { ...metaBy(), now: at };
  await context.ledger.append({ stream: `run-${id}`, expected: 0, events: [birth, ...events], meta });
  return id;
}

const noticesOf = async (run: string, what: 'start' | 'completion' | 'error', channel: string) =>
  (await context.ledger.read(`notification-${notificationId(run, what, channel)}`)) as unknown as NotificationEvent[];
const noticed = (run: string, what: 'start' | 'completion' | 'error', channel: string) =>
  eventually(async () => (await noticesOf(run, what, channel))[0]);

describe('ntfy', () => {
  test('is told of the end of a run that asks for it, and the outcome is an event', async () => {
    const run = await ran(['completion', 'error'], [started(), succeeded()]);
    const { type, data } = await noticed(run, 'completion', 'ntfy');
    expect(type).toBe('NotificationSent');
    expect(data).toEqual({
      ...{ run, process: processOf('p').id, owner: 'ann', channel: 'ntfy', title: 'Task Complete', attempts: 1 },
      ...{ answer: '200', at: expect.any(String) },
    });
    const [{ path, headers, body } = { path: '', headers: {}, body: '' }] = ntfy.received;
    expect([path, body]).toEqual(['/topic', 'nightly has ended well']);
    expect(headers).toMatchObject({
      ...{ 'x-title': 'Task Complete', 'x-priority': 'default', 'x-tags': 'check_mark' },
      authorization: 'Bearer tk_secret',
    });
  });

  test.each<[On | undefined, number, RunEvent[], [string, string, string][]]>([
    [['always'], 2, [started(), failed()], [['Task Failed', 'high', 'rotating_light']]],
    [['always'], 10, [started(), failed()], [['Task Failed', 'urgent', 'rotating_light']]],
    [['always'], 8, [started(), succeeded()], [['Task Complete', 'high', 'check_mark']]],
    [['start'], 2, [started(), failed()], [['Task Started', 'low', 'arrow_forward']]],
    [['error'], 5, [started(), succeeded()], []],
    [['never'], 5, [started(), failed()], []],
    [undefined, 5, [started(), failed()], []],
    [['error'], 5, [started(), failed(), retried(), started(2), succeeded()], []],
    [
      ['start', 'error'],
      5,
      [started(), failed(), retried(), started(2), failed()],
      [
        ['Task Started', 'default', 'arrow_forward'],
        ['Task Failed', 'high', 'rotating_light'],
      ],
    ],
  ])('%j, priority %d: %#', async (on, priority, events, expected) => {
    await ran(on, events, { priority });
    const last = await ran(['completion'], [started(), succeeded()]);
    await noticed(last, 'completion', 'ntfy');
    const told = ntfy.received
      .slice(0, -1)
      .map(({ headers }) => [headers['x-title'], headers['x-priority'], headers['x-tags']]);
    expect(told).toEqual(expected);
  });

  test('that is away is tried again, and again', async () => {
    ntfy.answer = (response) => response.writeHead(500).end('later');
    const run = await ran(['error'], [started(), failed()]);
    const text = `select from delivery where status = 'pending' and answer = '500 later'`;
    await eventually(async () => (await context.pool.query(text)).rowCount === 1);
    ntfy.answer = null;
    const { type, data } = await noticed(run, 'error', 'ntfy');
    expect([type, data.attempts > 1]).toEqual(['NotificationSent', true]);
  });

  test('after an hour nobody wants to know any more: that is an event too', async () => {
    ntfy.answer = (response) => response.writeHead(403).end('no');
    const run = await ran(['error'], [started(), failed()], { at: new Date(Date.now() - 3_600_001).toISOString() });
    const { type, data } = await noticed(run, 'error', 'ntfy');
    expect([type, data.attempts, data.answer]).toEqual(['NotificationFailed', 1, '403 no']);
  });

  test('its topic is a password: no answer that names it is recorded', async () => {
    ntfy.answer = (response) => response.writeHead(500).end('{"topic":"topic"}');
    const run = await ran(['error'], [started(), failed()]);
    const text = `select from delivery where status = 'pending' and answer = '500 {"…":"…"}'`;
    await eventually(async () => (await context.pool.query(text)).rowCount === 1);
    ntfy.answer = (response) => response.end('{"topic":"topic"}');
    expect((await noticed(run, 'error', 'ntfy')).data.answer).toBe('200');
  });

  test('what it will never take is given up at once, and the next goes out', async () => {
    ntfy.answer = (response) => response.writeHead(400).end('no');
    const run = await ran(['error'], [started(), failed()]);
    const { type, data } = await noticed(run, 'error', 'ntfy');
    expect([type, data.attempts, data.answer]).toEqual(['NotificationFailed', 1, '400 no']);
    ntfy.answer = null;
    const next = await ran(['error'], [started(), failed()]);
    expect((await noticed(next, 'error', 'ntfy')).type).toBe('NotificationSent');
  });

  test('a text that is longer than it takes is cut at a character', async () => {
    const run = await ran(['completion'], [started(), succeeded()], { name: `a${'é'.repeat(3_000)}` });
    await noticed(run, 'completion', 'ntfy');
    const { body } = ntfy.received[0]!;
    expect(Buffer.byteLength(body)).toBeLessThan(4_096);
    expect(body).toMatch(/^aé+…$/);
  });

  test('is told in the log of the process that it is of, whoever asked for the run', async () => {
    const { id } = processOf('p');
    const defined = { type: 'ProcessDefined', data: { name: 'nightly', owner: 'nora' } } as never;
    await context.ledger.append({ stream: `process-${id}`, expected: 0, events: [defined], meta: metaBy('nora') });
    const hook = await subscribe(context, ntfy.url, { owner: 'nora', types: ['NotificationSent'], processes: [id] });
    const run = await ran(['completion'], [started(), succeeded()]);
    expect((await noticed(run, 'completion', 'ntfy')).data.owner).toBe('nora');
    const hooks = () => ntfy.received.filter(({ path }) => path !== '/topic');
    await eventually(() => hooks().length >= 2);
    const told = verified(hook, hooks()) as unknown as NotificationEvent[];
    expect(told.map(({ type, data }) => [type, data.run, data.process])).toEqual([
      ['NotificationSent', run, id],
      ['NotificationSent', run, id],
    ]);
  });

  test('what was told before a crash is not told again', async () => {
    const run = await ran(['completion'], [started(), succeeded()]);
    await noticed(run, 'completion', 'ntfy');
    await noticed(run, 'completion', 'mail');
    await courier.onApplicationShutdown();
    await context.pool.query('update subscription set position = 0');
    courier = new Courier(context);
    courier.onApplicationBootstrap();
    const next = await ran(['completion'], [started(), succeeded()]);
    await noticed(next, 'completion', 'ntfy');
    expect(ntfy.received).toHaveLength(2);
    expect(await noticesOf(run, 'completion', 'ntfy')).toHaveLength(1);
  });
});

describe('mail', () => {
  test('says the same', async () => {
    const run = await ran(['error'], [started(), failed()], { name: 'weekly' });
    const { type, data } = await noticed(run, 'error', 'mail');
    expect([type, data.channel, data.title, data.attempts]).toEqual(['NotificationSent', 'mail', 'Task Failed', 1]);
    const [letter, ...others] = letters.filter((text) => text.includes('weekly'));
    expect(others).toEqual([]);
    expect(letter).toMatch(/^From: runledger@example\.com\r$/m);
    expect(letter).toMatch(/^To: ops@example\.com\r$/m);
    expect(letter).toMatch(/^Subject: Task Failed: weekly has failed: exit code 3\r$/m);
    expect(letter).toMatch(/^Importance: High\r$/im);
    expect(letter).toContain('\r\n\r\nweekly has failed: exit code 3');
  });

  test('that is refused for good is given up at once', async () => {
    refusal = Object.assign(new Error('no such mailbox'), { responseCode: 550 });
    const run = await ran(['error'], [started(), failed()]);
    const { type, data } = await noticed(run, 'error', 'mail');
    expect([type, data.attempts, data.answer]).toEqual(['NotificationFailed', 1, 'refused: 550']);
  });

  test('that is refused is tried again; ntfy does not wait for it', async () => {
    refusal = Object.assign(new Error('not now'), { responseCode: 451 });
    const run = await ran(['error'], [started(), failed()]);
    expect((await noticed(run, 'error', 'ntfy')).type).toBe('NotificationSent');
    const text = `select from delivery where status = 'pending' and answer = 'refused: 451'`;
    await eventually(async () => (await context.pool.query(text)).rowCount === 1);
    expect(await noticesOf(run, 'error', 'mail')).toEqual([]);
    refusal = null;
    const { type, data } = await noticed(run, 'error', 'mail');
    expect([type, data.attempts > 1]).toEqual(['NotificationSent', true]);
  });
});
