import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Caller } from './caller.js';
import { BearerStrategy, CookieStrategy, PublicKeys } from './credentials.js';
import { PolicyGuard } from './guard.js';
import { Drain } from './drain.js';
import { EventFeed } from './live/event-feed.js';
import { OutputFeeds } from './live/output-feeds.js';
import { Live } from './live.js';
import { LoginLimiter } from './login-limiter.js';
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
import { NativeWebhookController } from './surfaces/native/webhooks.controller.js';
import { PagesController } from './surfaces/pages.controller.js';
import { SharedController } from './surfaces/shared.controller.js';
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
    NativeWebhookController,
    JobsAccessController,
    JobsController,
    JobsBatchController,
    JobsLimitController,
    JobsUsersController,
  ],
  providers: [
    Caller,
    PublicKeys,
    BearerStrategy,
    CookieStrategy,
    SessionCache,
    TokenCheck,
    LoginLimiter,
    EventFeed,
    OutputFeeds,
    Live,
    Drain,
    { provide: APP_GUARD, useClass: PolicyGuard },
  ],
})
export class GatewayModule {}
