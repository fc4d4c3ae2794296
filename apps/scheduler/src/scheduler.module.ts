import { Module } from '@nestjs/common';
import { Clock } from './clock.js';
import { Examples } from './examples.js';
import { ProcessController } from './process.controller.js';

@Module({ controllers: [ProcessController], providers: [Examples, Clock] })
export class SchedulerModule {}
