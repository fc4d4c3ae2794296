import { Module } from '@nestjs/common';
import { Clock } from './clock.js';
import { ProcessController } from './process.controller.js';

@Module({ controllers: [ProcessController], providers: [Clock] })
export class SchedulerModule {}
