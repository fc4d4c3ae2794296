import { Module } from '@nestjs/common';
import { CalendarController } from './calendar.controller.js';
import { Clock } from './clock.js';
import { Courier } from './courier/courier.js';
import { WebhookController } from './courier/webhook.controller.js';
import { Examples } from './examples.js';
import { PauseController } from './pause.controller.js';
import { ProcessController } from './process.controller.js';
import { ScheduleController } from './schedule.controller.js';
import { StateController } from './state.controller.js';

@Module({
  controllers: [
    ProcessController,
    ScheduleController,
    PauseController,
    CalendarController,
    WebhookController,
    StateController,
  ],
  providers: [Examples, Clock, Courier],
})
export class SchedulerModule {}
