import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Refusal } from '#domain';
import { natsAvailable, quickest, startTestNats, type TestNats } from '#testing';
import {
  caught,
  crash,
  echo,
  EchoController,
  eventually,
  happened,
  MemoryPayloads,
  meta,
  nothing,
  orphan,
  out,
  patient,
  refuse,
  traced,
  wait,
} from './echo.fixture.js';
import {
  type Bus,
  type BusOptions,
  correlation,
  createInProcessBus,
  createNatsBus,
  InProcessExchange,
  type ServiceName,
} from './index.js';

type MakeBus = (options: BusOptions) => Bus;

/** Everything that a service may rely on, whatever carries it. */
function busSuite(makeBus: () => MakeBus) {
  const payloads = new MemoryPayloads();
  const open: { close(): Promise<void> }[] = [];
  const bugs: { error: unknown; correlationId: string }[] = [];
  const errors: string[] = [];
  let gateway: Bus;
  let first: { bus: Bus; app: INestMicroservice };

  const join = async (service: ServiceName) => {
    const bus = makeBus()({
      service,
      payloads,
      prefix: 'test-1',
      // A machine that stalls is no reason to give up; what is to be given up says so itself.
      defaultTimeoutMs: 30_000,
      onBug: (error, correlationId) => bugs.push({ error, correlationId }),
      onError: (error, where) => errors.push(`${where}: ${String(error)}`),
    });
    await bus.connect();
    open.unshift(bus);
    return bus;
  };
  const serve = async (instance: string, controller: Type = EchoController) => {
    const bus = await join('executor');
    class Root {}
    const module = {
      module: Root,
      controllers: [controller],
      providers: [{ provide: 'INSTANCE', useValue: instance }],
    };
    const app = await NestFactory.createMicroservice(module, { strategy: bus.server(), logger: false });
    await app.listen();
    open.unshift(app);
    return { bus, app };
  };

  /** What these listen for is known by now, since their words are taken in order. */
  const known = (...buses: Bus[]) => Promise.all(buses.map((bus) => bus.send(nothing, null, meta())));

  beforeEach(async () => {
    gateway = await join('gateway');
    first = await serve('one');
  });
  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
    bugs.length = errors.length = 0;
  });

  it('answers a command; undefined fields vanish, unicode stays', async () => {
    const text = 'žluťoučký 🐎 \u2028 "\\" \ud800';
    const answer = await gateway.send(echo, { text, gone: undefined }, meta());
    expect(answer).toEqual({ text, by: 'one', actor: 'user-1', gone: true });
    await expect(gateway.send(nothing, null, meta())).resolves.toBeUndefined();
  });

  it('carries a refusal whole', async () => {
    const { error } = await caught(gateway.send(refuse, null, meta()));
    expect(error).toBeInstanceOf(Refusal);
    expect({ ...(error as Refusal).toJSON() }).toEqual({
      kind: 'conflict',
      code: 'RUN_OVER',
      message: 'The run is already over',
      details: { at: ['noon'], n: 1 },
    });
    expect(bugs).toEqual([]);
  });

  it('tells the caller of a bug nothing but where to look', async () => {
    const { error } = await caught(gateway.send(crash, null, meta('corr-7')));
    expect(error).toMatchObject({ name: 'RemoteBug', correlationId: 'corr-7' });
    expect(JSON.stringify(error) + String(error)).not.toContain('hunter2');
    expect(bugs).toEqual([{ error: new TypeError('the password is hunter2'), correlationId: 'corr-7' }]);
  });

  it('says at once that nobody listens', async () => {
    const asked = async () =>
      expect((await caught(gateway.send(orphan, null, meta()))).error).toMatchObject({
        ...{ kind: 'unavailable', code: 'NOBODY_LISTENING' },
      });
    expect(await quickest(200, asked)).toBeLessThan(200);
  });

  it('gives up on an answer in time', async () => {
    const inVain = async () => {
      const { error, ms } = await caught(gateway.send(wait, { ms: 1000 }, meta()));
      expect(error).toMatchObject({ kind: 'unavailable', code: 'BUS_TIMEOUT' });
      expect(ms).toBeGreaterThan(295);
    };
    expect(await quickest(600, inVain)).toBeLessThan(600);
    const answers: string[] = [];
    while (answers.length < 5) answers.push(await gateway.send(wait, { ms: 5 }, meta()).catch(() => 'too late'));
    expect(answers).toContain('waited');
  });

  it('shares requests among the instances of a service', async () => {
    await serve('two');
    const answers = await Promise.all(Array.from({ length: 100 }, () => gateway.send(echo, { text: '' }, meta())));
    const byOne = answers.filter(({ by }) => by === 'one').length;
    expect(byOne).toBeGreaterThan(10);
    expect(byOne).toBeLessThan(90);
  });

  it('rings every instance exactly once, in order, until it stops listening', async () => {
    const second = await join('executor');
    const heard: number[][] = [[], [], []];
    const stops = [gateway, first.bus, second].map((bus, at) =>
      bus.listen(happened, ({ n }) => void heard[at]?.push(n)),
    );
    await known(gateway, first.bus, second);
    for (let n = 0; n < 50; n++) gateway.ring(happened, { n });
    await eventually(() => heard.every((each) => each.length >= 50));
    stops[1]?.();
    gateway.ring(happened, { n: 50 });
    await eventually(() => heard[0]?.length === 51 && heard[2]?.length === 51);
    expect(heard.map((each) => each.length)).toEqual([51, 50, 51]);
    expect(heard[1]).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  it('rings a suffix only where it is listened for', async () => {
    const heard: string[] = [];
    const stop = gateway.listen(out, (text) => void heard.push(`a ${text}`), 'run-a');
    gateway.listen(out, (text) => void heard.push(`* ${text}`));
    await known(gateway);
    first.bus.ring(out, '1', 'run-a');
    first.bus.ring(out, '2', 'run-b');
    await eventually(() => heard.length === 3);
    stop();
    first.bus.ring(out, '3', 'run-a');
    await eventually(() => heard.length === 4);
    expect(heard.sort()).toEqual(['* 1', '* 2', '* 3', 'a 1']);
    expect(() => gateway.listen(out, () => undefined, '*')).toThrow('one plain token');
  });

  it('never throws from a bell, and reports a handler that does', async () => {
    gateway.ring(out, 'no suffix');
    gateway.ring(happened, { n: 'x'.repeat(300_000) as unknown as number });
    expect(errors).toEqual([expect.stringContaining('with a suffix'), expect.stringContaining('RangeError')]);
    gateway.listen(happened, () => Promise.reject(new Error('deaf')));
    gateway.listen(happened, () => {
      throw new Error('dumb');
    });
    await known(gateway);
    first.bus.ring(happened, { n: 1 });
    await eventually(() => errors.length === 4);
    expect(errors.slice(2).sort()).toEqual(['evt.echo.Happened: Error: deaf', 'evt.echo.Happened: Error: dumb']);
    expect(gateway.stats()).toMatchObject({ connected: true, bellErrors: 4 });
  });

  it('carries 5 MiB both ways, beside the bus where text travels', async () => {
    const text = '5 MiB: ž'.repeat((5 * 1024 * 1024) / 8);
    const { puts } = payloads;
    const answer = await gateway.send(echo, { text }, meta());
    expect(answer.text === text).toBe(true);
    expect(payloads.puts).toBe(puts + (gateway.kind === 'nats' ? 2 : 0));
    expect(payloads.rows.size).toBe(0);
  });

  it('refuses a large message when its store fails', async () => {
    payloads.take = () => Promise.reject(new Error('database is down'));
    const { error } = await caught(gateway.send(echo, { text: 'x'.repeat(300_000) }, meta()));
    Reflect.deleteProperty(payloads, 'take');
    if (gateway.kind === 'in-process') return expect(error).toBeUndefined();
    expect(error).toMatchObject({ kind: 'unavailable', code: 'BUS_PAYLOAD' });
    expect(errors).toEqual(['payloads: Error: database is down']);
  });

  it('passes copies, never references', async () => {
    const data = { text: 'mine' };
    const answer = gateway.send(echo, data, meta());
    data.text = 'changed';
    expect((await answer).text).toBe('mine');
    const bellData = { n: 1 };
    const heard: { n: number }[] = [];
    gateway.listen(happened, (each) => void heard.push(each));
    await known(gateway);
    gateway.ring(happened, bellData);
    await eventually(() => heard.length === 1);
    expect(heard[0]).not.toBe(bellData);
  });

  it('knows the correlation id inside a handler, and no other', async () => {
    const ids = Array.from({ length: 20 }, (_, n) => `corr-${n}`);
    const seen = await Promise.all(ids.map((id) => gateway.send(traced, null, meta(id))));
    expect(seen.map(({ current }) => current)).toEqual(ids);
    const outer = await correlation.run('outer', async () => {
      await gateway.send(traced, null, meta('inner'));
      return correlation.current();
    });
    expect([outer, correlation.current()]).toEqual(['outer', undefined]);
  });

  it('finishes what it has taken before it closes, and sleeps for nothing', async () => {
    const second = await serve('two');
    const answers = Array.from({ length: 20 }, () => gateway.send(patient, { ms: 2000 }, meta()));
    await eventually(() => first.bus.stats().inFlight + second.bus.stats().inFlight === 20);
    expect(first.bus.stats().inFlight).toBeGreaterThan(0);
    await first.app.close();
    await first.bus.close();
    const after = await Promise.all(Array.from({ length: 10 }, () => gateway.send(echo, { text: '' }, meta())));
    expect(after.every(({ by }) => by === 'two')).toBe(true);
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 20 }, () => 'waited'));
    const idle = [second, await serve('three'), await serve('four'), await serve('five')];
    expect(await quickest(0, () => idle.pop()!.app.close(), idle.length)).toBeLessThan(150);
    expect((await caught(gateway.send(echo, { text: '' }, meta()))).error).toMatchObject({ code: 'NOBODY_LISTENING' });
  });

  it('refuses calls once it is closed, waiting ones too', async () => {
    const waiting = caught(gateway.send(patient, { ms: 2000 }, meta()));
    await eventually(() => first.bus.stats().inFlight === 1);
    await gateway.close();
    expect((await waiting).error).toMatchObject({ kind: 'unavailable', code: 'BUS_DOWN' });
    expect((await caught(gateway.send(echo, { text: '' }, meta()))).error).toMatchObject({ code: 'BUS_DOWN' });
    expect(gateway.stats().connected).toBe(false);
    gateway.ring(happened, { n: 1 });
  });
}

describe('in-process', () => {
  let exchange: InProcessExchange;
  beforeAll(() => {
    exchange = new InProcessExchange();
  });
  busSuite(() => (options) => createInProcessBus({ ...options, exchange }));
});

const overNats = natsAvailable() ? describe : describe.skip;

overNats(natsAvailable() ? 'over NATS' : 'over NATS: skipped, there is no nats-server', () => {
  let nats: TestNats;
  beforeAll(async () => {
    nats = await startTestNats();
  });
  afterAll(() => nats.remove());
  busSuite(() => (options) => createNatsBus(nats.url, options));
});
