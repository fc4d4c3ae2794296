/**
 * A process that is asked for no-op runs by the thousand: `births.mjs <database> <owner>`. There is no batch endpoint yet, so it
 * does with each run what an executor does that is asked for it (`Executor.request`): `libs/admission` makes its events,
 * `libs/ledger` appends them together, the bus rings (NATS; NATS_URL), and the views follow.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { serve } from './child.mjs';
import { fromProduct } from './stage.mjs';

const [url, owner] = process.argv.slice(2);
const { Ledger } = await fromProduct('libs/ledger/src/index.js');
const { admit } = await fromProduct('libs/admission/src/index.js');
const { bells, createNatsBus, PostgresPayloads } = await fromProduct('libs/bus/src/index.js');
const { newId } = await fromProduct('libs/domain/src/index.js');

const pool = new pg.Pool({ connectionString: url, max: 8 });
const bus = createNatsBus(process.env.NATS_URL, { service: 'scheduler', payloads: new PostgresPayloads(pool) });
await bus.connect();
const ledger = new Ledger(pool, { onFlushed: (flushed) => bus.ring(bells.flushed, flushed) });

async function requestAll(size) {
  const now = new Date().toISOString();
  const born = {
    name: 'noop',
    action: { kind: 'noop' },
    policies: {},
    parameters: null,
    payload: null,
    retryOf: null,
    process: null,
    batch: null,
    scheduledFor: null,
    owner,
  };
  const numbers = await Promise.all(Array.from({ length: size }, () => ledger.number('run')));
  const appends = numbers.map(async (number) => {
    const meta = { now, actor: owner, correlationId: randomUUID(), commandId: newId() };
    const holder = { executor: 'bench', server: 'bench', epoch: String(await ledger.number('epoch')) };
    return admit(ledger, newId(), { ...born, number }, meta, holder);
  });
  for (const { events } of await Promise.all(appends))
    if (events.length !== 3) throw new Error(`a run was refused: ${JSON.stringify(events)}`);
}

serve({
  async admit({ batches, size, lanes }) {
    let next = 0;
    const lane = async () => {
      while (next++ < batches) await requestAll(size);
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return {};
  },
});
