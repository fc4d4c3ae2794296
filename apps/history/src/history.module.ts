import { Module } from '@nestjs/common';
import { ActivityQueries } from './queries/activity.js';
import { BatchQueries } from './queries/batches.js';
import { EventQueries } from './queries/events.js';
import { ProcessQueries } from './queries/processes.js';
import { RunQueries } from './queries/runs.js';
import { Retention } from './retention.js';
import { Views } from './views.service.js';

@Module({
  controllers: [RunQueries, BatchQueries, ProcessQueries, ActivityQueries, EventQueries],
  providers: [Views, Retention],
})
export class HistoryModule {}
