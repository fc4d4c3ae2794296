import { Module } from '@nestjs/common';
import { openContext, readConfig, runUntilStopped, ServiceModule } from '#service';
import { steps } from '../../migrations.js';
import { GatewayModule } from './gateway.module.js';
import { createHttp, listen } from './http.js';

const config = readConfig(process.env);
const context = await openContext(config, { name: 'gateway', entities: [], steps });

@Module({ imports: [ServiceModule.of(context), GatewayModule] })
class GatewayProcess {}

const app = await createHttp(GatewayProcess, context);
await listen(app, context);
runUntilStopped(app, context);
