import { Module } from '@nestjs/common';
import { Clock } from './clock.js';
import { Examples } from './examples.js';
import { ProcessController } from './process.controller.js';
import { StateController } from './state.controller.js';

@Module({ controllers: [ProcessController, StateController], providers: [Examples, Clock] })
export class SchedulerModule {}
