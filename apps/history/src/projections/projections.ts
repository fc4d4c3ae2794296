import { type Projection } from '#ledger';
import { activityView } from './activity.js';
import { processView } from './processes.js';
import { runView } from './runs.js';

/** Every read model there is; `npm run rebuild -- <name>` makes one anew. */
export const projections: Projection[] = [runView, processView, activityView];
