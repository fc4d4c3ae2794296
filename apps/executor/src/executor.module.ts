import { Module } from '@nestjs/common';
import { Eraser } from './eraser.js';
import { Executor } from './executor.js';
import { RunController } from './run.controller.js';

@Module({ controllers: [RunController], providers: [Executor, Eraser] })
export class ExecutorModule {}
