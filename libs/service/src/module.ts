import { Global, Module, type DynamicModule } from '@nestjs/common';
import { Context } from './context.js';

/** Gives every provider the process's `Context`. */
@Global()
@Module({})
export class ServiceModule {
  static of(context: Context): DynamicModule {
    return { module: ServiceModule, providers: [{ provide: Context, useValue: context }], exports: [Context] };
  }
}
