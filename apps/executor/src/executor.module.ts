import { Module } from '@nestjs/common';
import { BatchController } from './batch.controller.js';
import { Eraser } from './eraser.js';
import { Executor } from './executor.js';
import { LimitController } from './limit.controller.js';
import { ProgramController } from './program.controller.js';
import { RunController } from './run.controller.js';

@Module({
  controllers: [RunController, BatchController, LimitController, ProgramController],
  providers: [Executor, Eraser],
})
export class ExecutorModule {}
