import { type Projection } from '#ledger';
import { type Log } from '#service';

/** The same projection; at debug level it says which orders a batch came from. */
export const traced = (projection: Projection, log: Log): Projection => ({
  ...projection,
  async apply(target, events) {
    await projection.apply(target, events);
    if (!log.isLevelEnabled('debug')) return;
    const correlationIds = [...new Set(events.map(({ meta }) => meta?.correlationId))];
    log.debug({ view: projection.name, to: events.at(-1)?.position, correlationIds }, 'projected');
  },
});
