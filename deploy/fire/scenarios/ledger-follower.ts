/** A follower process, `ledger-follower.js <database>`: writes down every event that it is given, in the order it comes. */
import pg from 'pg';
import { Follower, Ledger } from '#ledger';

const pool = new pg.Pool({ connectionString: process.argv[2], max: 4 });
pool.on('error', () => undefined);

// Whoever started us is gone.
process.on('disconnect', () => process.exit(1));

new Follower(
  new Ledger(pool),
  {
    name: 'fire_seen',
    tables: ['fire_seen'],
    categories: ['tally'],
    apply: async ({ client }, events) => {
      const rows = events.map(({ position, stream, version }) => ({ position, stream, version }));
      await client.query(
        `insert into fire_seen (position, stream, version)
        select position, stream, version from json_to_recordset($1) as r(position bigint, stream text, version integer)`,
        [JSON.stringify(rows)],
      );
    },
  },
  { poll: 20 },
);
