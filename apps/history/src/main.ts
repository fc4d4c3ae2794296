import { runService } from '#service';
import { steps } from '../../migrations.js';
import { historyEntities } from './views.js';
import { HistoryModule } from './history.module.js';

await runService({ name: 'history', module: HistoryModule, entities: historyEntities, steps });
