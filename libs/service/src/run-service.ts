import { Module, type INestMicroservice, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { readConfig } from './config.js';
import { nestLogger } from './logger.js';
import { ServiceModule } from './module.js';
import { openContext, openOps, runUntilStopped, type ServiceParts } from './start.js';

/** The whole of a service's `main.ts`: opens its context, answers its subjects on the bus, stops on a signal. */
export async function runService({ module, ...parts }: ServiceParts & { module: Type }): Promise<void> {
  const context = await openContext(readConfig(process.env), parts);

  @Module({ imports: [ServiceModule.of(context), module] })
  class ServiceProcess {}

  const app: INestMicroservice = await NestFactory.createMicroservice(ServiceProcess, {
    strategy: context.bus.server(),
    logger: nestLogger(context.log),
    abortOnError: false,
  });
  runUntilStopped(app, context);
  await openOps(context);
  await app.listen();
}
