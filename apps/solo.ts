import { Module } from '@nestjs/common';
import { openContext, outliveRejections, readConfig, ServiceModule, stopContext, type Context } from '#service';
import { authEntities } from './auth/src/accounts.js';
import { AuthModule } from './auth/src/auth.module.js';
import { ExecutorModule } from './executor/src/executor.module.js';
import { createHttp, listen } from './gateway/src/http.js';
import { GatewayModule } from './gateway/src/gateway.module.js';
import { HistoryModule } from './history/src/history.module.js';
import { historyEntities } from './history/src/views.js';
import { steps } from './migrations.js';
import { SchedulerModule } from './scheduler/src/scheduler.module.js';

/** All five services in one process, sharing one pool, one bus and one ledger writer. */
export async function startSolo(): Promise<{ stop: () => Promise<void> }> {
  const config = readConfig(process.env);
  const context = await openContext(config, { name: 'solo', entities: [...authEntities, ...historyEntities], steps });
  outliveRejections(context.log);
  try {
    const app = await createHttp(soloModule(context), context);
    // Without the application's own configuration: its guard is for HTTP, and in a cluster the services know none either.
    app.connectMicroservice({ strategy: context.bus.server() });
    await listen(app, context);
    return { stop: () => stopContext(app, context) };
  } catch (error) {
    await context.orm.close(true);
    throw error;
  }
}

function soloModule(context: Context) {
  @Module({
    imports: [ServiceModule.of(context), AuthModule, HistoryModule, ExecutorModule, SchedulerModule, GatewayModule],
  })
  class Solo {}
  return Solo;
}
