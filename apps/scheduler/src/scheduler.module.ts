import { Module } from '@nestjs/common';
import { Clock } from './clock.js';
import { Courier } from './courier/courier.js';
import { WebhookController } from './courier/webhook.controller.js';
import { Examples } from './examples.js';
import { ProcessController } from './process.controller.js';

@Module({ controllers: [ProcessController, WebhookController], providers: [Examples, Clock, Courier] })
export class SchedulerModule {}
