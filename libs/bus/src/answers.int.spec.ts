import { afterEach, describe, expect, it } from '@jest/globals';
import { type ArgumentsHost, Catch, type ExceptionFilter, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Refusal } from '#domain';
import { caught, crash, echo, EchoController, MemoryPayloads, meta, refuse } from './echo.fixture.js';
import { createInProcessBus } from './index.js';

/** What an HTTP application has: it must not see what happens on the bus. */
@Catch()
class HttpOnly implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost) {
    throw new Error(`The HTTP filter was asked about ${host.getType()}`);
  }
}

describe('@Answers in one application with HTTP', () => {
  let app: INestApplication;
  afterEach(() => app.close());

  it('keeps its errors from the filters of the application', async () => {
    const bus = createInProcessBus({ service: 'gateway', payloads: new MemoryPayloads() });
    class Root {}
    const providers = [{ provide: 'INSTANCE', useValue: 'solo' }];
    const module = { module: Root, controllers: [EchoController], providers };
    app = await NestFactory.create(module, new FastifyAdapter(), { logger: false });
    app.useGlobalFilters(new HttpOnly());
    app.connectMicroservice({ strategy: bus.server() }, { inheritAppConfig: true });
    await app.startAllMicroservices();
    await app.init();
    expect((await bus.send(echo, { text: 'x' }, meta())).by).toBe('solo');
    expect((await caught(bus.send(refuse, null, meta()))).error).toBeInstanceOf(Refusal);
    expect((await caught(bus.send(crash, null, meta()))).error).toMatchObject({ name: 'RemoteBug' });
    await bus.close();
  });
});
