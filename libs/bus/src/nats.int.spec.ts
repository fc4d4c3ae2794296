import { afterEach, describe, expect, it } from '@jest/globals';
import { connect } from '@nats-io/transport-node';
import { NestFactory } from '@nestjs/core';
import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '#domain';
import { natsAvailable, startTestNats, type TestNats } from '#testing';
import {
  bells,
  caught,
  echo,
  EchoController,
  eventually,
  forbidden,
  happened,
  MemoryPayloads,
  meta,
  out,
  subjects,
} from './echo.fixture.js';
import { type Bus, type BusOptions, createNatsBus, natsUsers, type ServiceName } from './index.js';

const withNats = natsAvailable() ? describe : describe.skip;

withNats(natsAvailable() ? 'nats-server' : 'nats-server: skipped, there is none', () => {
  const open: { close(): Promise<void> }[] = [];
  const payloads = new MemoryPayloads();
  let nats: TestNats;

  const start = async (users?: Parameters<typeof startTestNats>[0]) => {
    nats = await startTestNats(users);
  };
  const signal = (name: NodeJS.Signals) => process.kill(nats.pid, name);
  const join = async (service: ServiceName, url = nats.url, options: Partial<BusOptions> = {}) => {
    const bus = createNatsBus(url, { service, payloads, ...options });
    open.unshift(bus);
    await bus.connect();
    return bus;
  };
  const rawly = async (url = nats.url) => {
    const { host, username, password } = new URL(url);
    const connection = await connect({ servers: host, user: username, pass: password });
    open.unshift(connection);
    return connection;
  };
  const serve = async (url = nats.url) => {
    const bus = await join('executor', url);
    class Root {}
    const module = { module: Root, controllers: [EchoController], providers: [{ provide: 'INSTANCE', useValue: '1' }] };
    const app = await NestFactory.createMicroservice(module, { strategy: bus.server(), logger: false });
    await app.listen();
    open.unshift(app);
    return bus;
  };
  /** Both sides come back in their own time. */
  const works = async (bus: Bus) => {
    for (const until = Date.now() + 60_000; ; await pause(50)) {
      const answer = await bus.send(echo, { text: '' }, meta()).catch((error: unknown) => error);
      if (!(answer instanceof Refusal) || Date.now() > until) return answer;
    }
  };

  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
    await nats.remove();
  });

  it('comes back by itself after nats-server is killed and started again', async () => {
    await start();
    const gateway = await join('gateway');
    await serve();
    const heard: number[] = [];
    gateway.listen(happened, ({ n }) => void heard.push(n));
    expect(gateway.stats().version).toMatch(/^2\./);
    expect(await works(gateway)).toMatchObject({ by: '1' });
    signal('SIGKILL');
    await eventually(() => !gateway.stats().connected);
    const waits = [await caught(gateway.send(echo, { text: '' }, meta()))];
    await pause(300);
    waits.push(await caught(gateway.send(echo, { text: '' }, meta())));
    gateway.ring(happened, { n: 1 });
    for (const { error } of waits) {
      expect(error).toMatchObject({ kind: 'unavailable', code: 'BUS_DOWN' });
    }
    expect(Math.min(...waits.map(({ ms }) => ms))).toBeLessThan(200);
    expect(gateway.stats().bellErrors).toBe(1);
    await nats.restart();
    await eventually(() => gateway.stats().connected);
    expect(await works(gateway)).toMatchObject({ by: '1' });
    gateway.ring(happened, { n: 2 });
    await eventually(() => heard.length > 0);
    expect(heard).toEqual([2]);
  });

  it('refuses what was under way when the connection is lost', async () => {
    await start();
    const gateway = await join('gateway');
    await serve();
    expect(await works(gateway)).toMatchObject({ by: '1' });
    signal('SIGSTOP');
    const waiting = caught(gateway.send(echo, { text: '' }, meta()));
    await pause(50);
    signal('SIGKILL');
    // Not the timeout, which would come much later.
    expect((await waiting).error).toMatchObject({ code: 'BUS_DOWN' });
  });

  it('fails in time while nats-server is frozen, and works when it thaws', async () => {
    await start();
    const gateway = await join('gateway');
    await serve();
    expect(await works(gateway)).toMatchObject({ by: '1' });
    signal('SIGSTOP');
    const either = ['BUS_TIMEOUT', 'BUS_DOWN'];
    for (const [i, codes] of [either, either, ['BUS_DOWN'], ['BUS_DOWN']].entries()) {
      const { error, ms } = await caught(gateway.send(echo, { text: 'x'.repeat(200_000) }, meta()));
      expect(codes).toContain((error as { code?: string }).code);
      expect(ms).toBeLessThan(10_000);
      if (i === 1) await eventually(() => !gateway.stats().connected);
    }
    signal('SIGCONT');
    expect(await works(gateway)).toMatchObject({ by: '1' });
  });

  it('waits for a nats-server that is not there yet, and can stop waiting', async () => {
    await start();
    await nats.stop();
    const bus = createNatsBus(nats.url, { service: 'gateway', payloads });
    const connected = bus.connect();
    expect((await caught(bus.send(echo, { text: '' }, meta()))).error).toMatchObject({ code: 'BUS_DOWN' });
    await nats.restart();
    await connected;
    expect(bus.stats().connected).toBe(true);
    await bus.close();
    const never = createNatsBus('nats://127.0.0.1:1', { service: 'gateway', payloads });
    const dialing = never.connect();
    await never.close();
    await dialing;
  });

  it('survives and counts what is no message', async () => {
    await start();
    const executor = await serve();
    const raw = await rawly();
    executor.listen(happened, () => undefined);
    for (const text of ['', '{', 'null', '[]', '{}', '{"meta":{}}', '{"data":1,"meta":{"correlationId":7}}', '\xff']) {
      const reply = await raw.request(echo.name, text, { timeout: 1000 });
      expect(reply.json()).toMatchObject({ refusal: { kind: 'malformed', code: 'BUS_MALFORMED' } });
    }
    raw.publish(echo.name, 'no reply subject');
    raw.publish(happened.name, '{');
    await eventually(() => executor.stats().malformed === 10);
    expect(await works(await join('gateway'))).toMatchObject({ by: '1' });
  });

  it('counts a reply that is no reply', async () => {
    await start();
    const raw = await rawly();
    raw.subscribe(echo.name, { callback: (_error, message) => void message.respond('nonsense') });
    await raw.flush();
    const gateway = await join('gateway');
    expect((await caught(gateway.send(echo, { text: '' }, meta()))).error).toMatchObject({ name: 'Malformed' });
    expect(gateway.stats().malformed).toBe(1);
  });

  it('lets nobody say what the table does not let him say', async () => {
    await start({ users: natsUsers(subjects, bells) });
    const nobody = nats.urlOf('gateway').replace(/\/\/.*@/, '//');
    await expect(join('gateway', nobody)).rejects.toThrow(/authorization/i);
    await expect(join('gateway', nats.urlOf('gateway').replace('@', 'x@'))).rejects.toThrow(/authorization/i);
    const errors: string[] = [];
    const onError = (error: unknown) => void errors.push(String(error));
    const gateway = await join('gateway', nats.urlOf('gateway'), { onError });
    const executor = await serve(nats.urlOf('executor'));
    expect(await works(gateway)).toMatchObject({ actor: 'user-1' });
    expect(await (await join('auth', nats.urlOf('auth'))).send(forbidden, null, meta())).toBe('promoted');
    expect(String((await caught(gateway.send(forbidden, null, meta()))).error)).toMatch(/permissions violation/i);

    const heard: string[] = [];
    gateway.listen(out, (text) => void heard.push(text), 'run-1');
    const spy = await join('history', nats.urlOf('history'), { onError });
    spy.listen(out, (text) => void heard.push(`spied ${text}`), 'run-1');
    await eventually(() => errors.some((each) => each.includes('out.run-1')));
    await works(gateway);
    executor.ring(out, 'line', 'run-1');
    await eventually(() => heard.length > 0);
    await pause(50);
    expect(heard).toEqual(['line']);
  });

  it('does not let one service read the answers of another', async () => {
    await start({ users: natsUsers(subjects, bells) });
    const raw = await rawly(nats.urlOf('history'));
    const refused = new Promise((resolve) => {
      raw.subscribe('_INBOX.gateway.>', { callback: (error) => resolve(error) });
    });
    expect(String(await refused)).toMatch(/permissions violation/i);
  });
});
