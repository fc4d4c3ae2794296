import { runService } from '#service';
import { steps } from '../../migrations.js';
import { ExecutorModule } from './executor.module.js';

await runService({ name: 'executor', module: ExecutorModule, entities: [], steps });
