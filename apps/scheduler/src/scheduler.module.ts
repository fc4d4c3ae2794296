import { Module } from '@nestjs/common';
import { CalendarController } from './calendar.controller.js';
import { Clock } from './clock.js';
import { Examples } from './examples.js';
import { PauseController } from './pause.controller.js';
import { ProcessController } from './process.controller.js';
import { ScheduleController } from './schedule.controller.js';
import { StateController } from './state.controller.js';

@Module({
  controllers: [ProcessController, ScheduleController, PauseController, CalendarController, StateController],
  providers: [Examples, Clock],
})
export class SchedulerModule {}
