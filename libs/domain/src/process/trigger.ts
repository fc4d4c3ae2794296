import { z } from 'zod';
import { CronError, parseCron } from '../cron.js';

/** `{"cron": "0 2 * * *", "zone": "Europe/Vienna"}`; zone defaults to UTC. A bad or never-firing one is refused here. */
export const trigger = z
  .strictObject({ cron: z.string().min(1).max(256), zone: z.string().min(1).max(64).default('UTC') })
  .superRefine(({ cron, zone }, context) => {
    try {
      parseCron(cron, zone);
    } catch (error) {
      if (!(error instanceof CronError)) throw error;
      context.addIssue({ code: 'custom', path: ['cron'], message: error.message });
    }
  });
