import { runService } from '#service';
import { steps } from '../../migrations.js';
import { authEntities } from './accounts.js';
import { AuthModule } from './auth.module.js';

await runService({ name: 'auth', module: AuthModule, entities: authEntities, steps });
