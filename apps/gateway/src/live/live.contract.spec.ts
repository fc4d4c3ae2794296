import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, eventually, sharedStack, type Stack } from '#testing';
import {
  define,
  ended,
  eventsOf,
  noop,
  outputOf,
  requestRun,
  runToEnd,
  sh,
  started,
  type LedgerEvent,
  type List,
  type Run,
} from '../surfaces/native/native.harness.js';
import { Watcher } from './live.harness.js';
import { addUser } from './second-user.harness.js';

let stack: Stack;
let token: string;
let admin: Client;
beforeAll(async () => {
  stack = await sharedStack(topology);
  token = await tokenOf('admin');
  admin = new Client(stack.url, { authorization: `Bearer ${token}` });
}, 90_000);
afterAll(() => stack.stop(), 60_000);

const watchers: Watcher[] = [];
afterEach(() => watchers.splice(0).forEach((watcher) => watcher.leave()));

async function tokenOf(username: string): Promise<string> {
  const form = new URLSearchParams({ username, password: stack.adminPassword });
  const { body } = await new Client(stack.url).post<{ access_token: string }>('/api/v1/auth/token', form);
  return body.access_token;
}

function watcher(auth: ConstructorParameters<typeof Watcher>[1] = { token }): Watcher {
  const made = new Watcher(stack.url, auth);
  watchers.push(made);
  return made;
}

const missing = '01890000-0000-7000-8000-000000000000';
const head = async () => (await admin.get('/api/v1/events?limit=1')).headers.get('x-ledger-position')!;
const positions = (events: { position: string }[]) => events.map(({ position }) => Number(position));

/** What the ledger holds after a position. */
async function ledgerAfter(after: string): Promise<LedgerEvent[]> {
  const found: LedgerEvent[] = [];
  for (let cursor: string | null = after; cursor !== null;) {
    const { body }: { body: List<LedgerEvent> } = await admin.get<List<LedgerEvent>>(
      `/api/v1/events?after=${cursor}&limit=1000`,
    );
    found.push(...body.items);
    cursor = body.next;
  }
  return found;
}

describe('who may watch', () => {
  test('a token or a cookie lets in', async () => {
    const login = await new Client(stack.url).post('/api/auth/login', {
      username: 'admin',
      password: stack.adminPassword,
    });
    const cookie = login.headers.get('set-cookie')!.split(';')[0]!;
    for (const auth of [{ token }, { headers: { cookie } }]) {
      const someone = await watcher(auth).in();
      expect(await someone.subscribe('events')).toEqual({ ok: true, position: expect.stringMatching(/^[1-9]\d*$/) });
    }
  });

  test.each([
    ['nothing', {}],
    ['a bad token', { token: 'nonsense' }],
    ['a bad cookie', { headers: { cookie: 'connect.sid=nonsense' } }],
    ['a foreign page', { headers: { origin: 'https://evil.example' } }],
  ])('%s does not', async (what, auth) => {
    const withToken = what === 'a foreign page' ? { ...auth, token } : auth;
    await expect(watcher(withToken).in()).rejects.toThrow();
  });

  test('its own page does', async () => {
    await expect(watcher({ token, headers: { origin: stack.url } }).in()).resolves.toBeDefined();
  });

  test('what somebody may not see is as missing as what never was', async () => {
    await addUser(stack.databaseUrl, 'ulf', 'user');
    const ulf = await watcher({ token: await tokenOf('ulf') }).in();
    const run = await runToEnd(admin, noop);
    const process = await define(admin, {});
    for (const [kind, id] of [
      ['run', run.id],
      ['process', process.id],
    ] as const) {
      const hidden = await ulf.subscribe(`${kind}:${id}`);
      const never = await ulf.subscribe(`${kind}:${missing}`);
      expect(hidden.error).toMatchObject({ code: 'ROOM_NOT_FOUND', message: never.error!.message });
      expect(never.error!.code).toBe('ROOM_NOT_FOUND');
    }
    expect((await ulf.subscribe('events')).error).toMatchObject({ code: 'FORBIDDEN' });
    await runToEnd(admin, noop);
    expect(ulf.events).toEqual([]);
  });

  test('after signing out he is sent away', async () => {
    const own = await tokenOf('admin');
    const someone = await watcher({ token: own }).in();
    await someone.subscribe('events');
    await new Client(stack.url).post('/api/auth/logout', {}, { authorization: `Bearer ${own}` });
    await someone.until('the line to be cut', () => !someone.socket.connected);
  });
});

describe('messages', () => {
  test('bad ones are answered with an error, and the line lives', async () => {
    const someone = await watcher().in();
    const bad: [string, ...unknown[]][] = [
      ...[null, 7, 'events', [], {}, { room: 7 }, { room: 'run:x' }, { room: 'everything' }].map(
        (body) => ['subscribe', body] as [string, unknown],
      ),
      ['subscribe', { room: 'events', after: 'x' }],
      ['subscribe', { room: 'events', after: 7 }],
      ['subscribe', { room: 'events', colour: 'red' }],
      ['subscribe', { room: `run:${missing}`, output: { attempt: -1, seq: 0 } }],
      ['unsubscribe', {}],
      ['dance', { room: 'events' }],
    ];
    for (const [message, body] of bad) {
      const answer = await someone.say(message, body);
      expect([message, body, answer.error]).toEqual([
        message,
        body,
        expect.objectContaining({ code: expect.any(String), message: expect.any(String) }),
      ]);
    }
    someone.socket.emit('subscribe');
    someone.socket.emit('subscribe', { room: 'events' });
    expect(await someone.subscribe('events')).toMatchObject({ ok: true });
    expect(someone.socket.connected).toBe(true);
  });

  test('unsubscribe ends it', async () => {
    const someone = await watcher().in();
    const reference = await watcher().in();
    await reference.subscribe('events');
    await someone.subscribe('events');
    expect(await someone.say('unsubscribe', { room: 'events' })).toMatchObject({ ok: true });
    const { id } = await runToEnd(admin, noop);
    await reference.until('the end of the run', () =>
      reference.events.some(({ type, stream }) => type === 'RunSucceeded' && stream === `run-${id}`),
    );
    expect(someone.events).toEqual([]);
  });
});

describe('rooms', () => {
  test('events: everything after a position, in order, each once, then what comes', async () => {
    const from = await head();
    await Promise.all(Array.from({ length: 10 }, () => runToEnd(admin, noop)));
    const someone = await watcher().in();
    expect(await someone.subscribe('events', { after: from })).toMatchObject({ ok: true });
    await Promise.all(Array.from({ length: 20 }, () => runToEnd(admin, noop)));
    const expected = await ledgerAfter(from);
    await someone.until('the newest event', () => BigInt(someone.position) >= BigInt(expected.at(-1)!.position));
    expect(someone.events.slice(0, expected.length)).toEqual(expected);
    expect(positions(someone.events)).toEqual(someone.events.map((_, i) => Number(from) + 1 + i));
  });

  test('events without a position: from now on, and the answer says what that is', async () => {
    const someone = await watcher().in();
    const { position } = await someone.subscribe('events');
    const { id } = await runToEnd(admin, noop);
    await someone.until('the run', () =>
      someone.events.some(({ type, stream }) => type === 'RunSucceeded' && stream === `run-${id}`),
    );
    expect(positions(someone.events)).toEqual(someone.events.map((_, i) => Number(position) + 1 + i));
  });

  test('process: its own events and those of its runs', async () => {
    const { id } = await define(admin, { name: 'watched' });
    const someone = await watcher().in();
    await someone.subscribe(`process:${id}`, { after: '0' });
    const { body: run } = await admin.post<Run>(`/api/v1/processes/${id}/run`, {});
    await runToEnd(admin, noop);
    await ended(admin, run);
    await admin.post(`/api/v1/processes/${id}/disable`, {});
    await someone.until('it to be disabled', () => someone.events.some(({ type }) => type === 'ProcessDisabled'));
    expect(someone.events.map(({ type }) => type)).toEqual([
      'ProcessDefined',
      'RunRequested',
      'RunStarted',
      'RunSucceeded',
      'ProcessDisabled',
    ]);
    const late = await watcher().in();
    await late.subscribe(`process:${id}`, { after: someone.events[0]!.position });
    await late.until('what he missed', () => late.events.length >= 4);
    expect(late.events).toEqual(someone.events.slice(1));
  });

  test('run: its events and its output from the first piece, for a late comer too', async () => {
    const run = await requestRun(
      admin,
      sh('for i in 1 2 3 4 5 6 7 8; do echo "line $i"; echo "err $i" >&2; sleep 0.25; done'),
    );
    const early = await watcher().in();
    await early.subscribe(`run:${run.id}`, { after: '0' });
    await early.until('some output', () => early.pieces.length > 3);
    const late = await watcher().in();
    await late.subscribe(`run:${run.id}`, { after: '0' });
    await ended(admin, run);
    const [events, text] = [await eventsOf(admin, run.id), await outputOf(admin, run.id)];
    for (const each of [early, late]) {
      await each.until('everything', () => each.text() === text && each.events.length >= events.length);
      expect(each.events).toEqual(events);
      expect(each.pieces[0]).toEqual({
        run: run.id,
        attempt: 1,
        seq: 1,
        stream: expect.stringMatching(/^std/),
        text: expect.any(String),
      });
    }
    const after = await watcher().in();
    await after.subscribe(`run:${run.id}`, { after: events[1]!.position, output: { attempt: 1, seq: 3 } });
    await after.until('the rest', () => after.place.seq === early.place.seq);
    expect(Math.min(...after.pieces.map(({ seq }) => seq))).toBe(4);
    await after.until('the rest of the events', () => after.events.length === events.length - 2);
  });

  test('run: the output of each attempt', async () => {
    const run = await requestRun(admin, sh('echo "attempt $RUNLEDGER_ATTEMPT"; exit 1'), {
      policies: { retry: { attempts: 3, delay: '200ms' } },
    });
    const someone = await watcher().in();
    await someone.subscribe(`run:${run.id}`, { after: '0' });
    await someone.until('three attempts', () =>
      [1, 2, 3].every((attempt) => someone.text(attempt) === `attempt ${attempt}\n`),
    );
  });
});

describe('a chatty run', () => {
  /** Says more until it is told to stop. */
  const chatty = (gate: string) =>
    sh(
      `until [ -e ${gate} ]; do echo "line $i of a run that says a lot, äöü 🐘"; i=$((i+1)); [ $((i % 200)) -ne 0 ] || sleep 0.1; done`,
    );

  test('who comes and goes misses nothing', async () => {
    const gate = path.join(stack.dataDir, 'gate');
    const run = await requestRun(admin, chatty(gate));
    await started(admin, run);
    const someone = await watcher().in();
    const room = `run:${run.id}`;
    await someone.subscribe(room, { after: '0' });
    for (let i = 0; i < 5; i++) {
      const seen = someone.pieces.length;
      await someone.until('more output', () => someone.pieces.length > seen + 1);
      await someone.comeBack();
      const output = someone.place;
      expect(await someone.subscribe(room, { after: someone.position, output })).toMatchObject({ ok: true });
    }
    writeFileSync(gate, '');
    await ended(admin, run);
    const text = await outputOf(admin, run.id);
    await someone.until('the whole output', () => someone.text().length >= text.length);
    expect(someone.text()).toBe(text);
    await someone.until('its end', () => someone.events.at(-1)?.type === 'RunSucceeded');
    expect(new Set(positions(someone.events))).toEqual(new Set(positions(await eventsOf(admin, run.id))));
  });

  test('many watchers of a short, loud run each get all of it', async () => {
    for (let round = 0; round < 3; round++) {
      const run = await requestRun(admin, sh('sleep 0.3; seq 1 30000'));
      const crowd = await Promise.all(Array.from({ length: 5 }, () => watcher().in()));
      await Promise.all(crowd.map((each) => each.subscribe(`run:${run.id}`)));
      await ended(admin, run);
      const text = await outputOf(admin, run.id);
      for (const each of crowd) await each.until('the whole output', () => each.text() === text);
    }
  });
});

test('the only words of a run reach who comes while they are said', async () => {
  const someone = await watcher().in();
  const said = (id: string) => someone.pieces.filter(({ run }) => run === id).map(({ text }) => text);
  for (let round = 0; round < 6; round++) {
    const runs = await Promise.all(
      Array.from({ length: 10 }, (_, i) => requestRun(admin, sh(`sleep 0.0${i}; echo word`))),
    );
    await Promise.all(runs.map(({ id }) => someone.subscribe(`run:${id}`)));
    await Promise.all(runs.map((run) => ended(admin, run)));
    for (const { id } of runs) await someone.until('the word', () => said(id).includes('word\n'));
    await Promise.all(runs.map(({ id }) => someone.say('unsubscribe', { room: `run:${id}` })));
  }
});

test('a line that is cut takes its subscriptions with it', async () => {
  const someone = await watcher().in();
  await someone.subscribe('events');
  await someone.comeBack();
  const seen = someone.events.length;
  const reference = await watcher().in();
  await reference.subscribe('events');
  await runToEnd(admin, noop);
  await eventually('the reference to hear', async () => reference.events.length >= 3);
  expect(someone.events.length).toBe(seen);
});
