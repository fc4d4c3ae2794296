import { Module } from '@nestjs/common';
import { Executor } from './executor.js';
import { RunController } from './run.controller.js';

@Module({ controllers: [RunController], providers: [Executor] })
export class ExecutorModule {}
