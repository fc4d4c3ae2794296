import { runService } from '#service';
import { steps } from '../../migrations.js';
import { SchedulerModule } from './scheduler.module.js';

await runService({ name: 'scheduler', module: SchedulerModule, entities: [], steps });
