import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Caller } from './caller.js';
import { BearerStrategy, CookieStrategy, PublicKeys } from './credentials.js';
import { PolicyGuard } from './guard.js';
import { Drain } from './drain.js';
import { EventFeed } from './live/event-feed.js';
import { OutputFeeds } from './live/output-feeds.js';
import { Live } from './live.js';
import { RateLimiter } from './rate-limiter.js';
import { SessionCache } from './session-cache.js';
import { JobsAccessController } from './surfaces/jobs/access.controller.js';
import { JobsBatchController } from './surfaces/jobs/batches.controller.js';
import { JobsController } from './surfaces/jobs/jobs.controller.js';
import { JobsLimitController } from './surfaces/jobs/limits.controller.js';
import { JobsUsersController } from './surfaces/jobs/users.controller.js';
import { NativeBatchController } from './surfaces/native/batches.controller.js';
import { NativeLedgerController } from './surfaces/native/ledger.controller.js';
import { NativeProcessController } from './surfaces/native/processes.controller.js';
import { NativeRunController } from './surfaces/native/runs.controller.js';
import { NativeScheduleController } from './surfaces/native/schedule.controller.js';
import { NativeWebhookController } from './surfaces/native/webhooks.controller.js';
import { PagesController } from './surfaces/pages.controller.js';
import { SharedController } from './surfaces/shared.controller.js';
import { TasksAccessController } from './surfaces/tasks/access.controller.js';
import { TaskExecutionsController } from './surfaces/tasks/executions.controller.js';
import { TaskLogsController } from './surfaces/tasks/logs.controller.js';
import { TaskFeed } from './surfaces/tasks/task-feed.js';
import { TasksController } from './surfaces/tasks/tasks.controller.js';
import { TaskSockets } from './surfaces/tasks/tasks.socket.js';
import { ViewerController } from './surfaces/viewer/viewer.controller.js';
import { TokenCheck } from './token-check.js';

@Module({
  controllers: [
    SharedController,
    PagesController,
    ViewerController,
    NativeProcessController,
    NativeRunController,
    NativeBatchController,
    NativeLedgerController,
    NativeScheduleController,
    NativeWebhookController,
    JobsAccessController,
    JobsController,
    JobsBatchController,
    JobsLimitController,
    JobsUsersController,
    TasksAccessController,
    TasksController,
    TaskExecutionsController,
    TaskLogsController,
  ],
  providers: [
    Caller,
    PublicKeys,
    BearerStrategy,
    CookieStrategy,
    SessionCache,
    TokenCheck,
    RateLimiter,
    EventFeed,
    OutputFeeds,
    Live,
    TaskFeed,
    TaskSockets,
    Drain,
    { provide: APP_GUARD, useClass: PolicyGuard },
  ],
})
export class GatewayModule {}
