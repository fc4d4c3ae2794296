import { expect, test } from '@jest/globals';
import { connect } from '@nats-io/transport-node';
import pg from 'pg';
import { createDatabase } from './database.js';
import { natsAvailable, startTestNats } from './nats.js';
import { freePort } from './ports.js';

const query = async (url: string, sql: string) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
};

test('each database is empty, its own, and gone after drop', async () => {
  const [one, two] = await Promise.all([createDatabase(), createDatabase()]);
  await query(one.url, 'create table mine (n int)');
  expect(await query(two.url, `select to_regclass('mine') as mine`)).toEqual([{ mine: null }]);
  await Promise.all([one.drop(), two.drop()]);
  await expect(query(one.url, 'select 1')).rejects.toMatchObject({ code: '3D000' });
});

test('a template is prepared once, after a failure anew, and copied by many at once', async () => {
  let prepared = 0;
  const prepare = async (url: string) => {
    await query(url, 'create table copied (n int)');
    if (prepared++ === 0) throw new Error('half-way');
  };
  await expect(createDatabase({ template: 'testing-spec', prepare })).rejects.toThrow('half-way');
  const copies = await Promise.all(
    Array.from({ length: 4 }, () => createDatabase({ template: 'testing-spec', prepare })),
  );
  expect(prepared).toBe(2);
  for (const { url } of copies) expect(await query(url, 'select count(*)::int as n from copied')).toEqual([{ n: 0 }]);
  await Promise.all(copies.map((copy) => copy.drop()));
});

test('a port is given away once', async () => {
  const ports = await Promise.all(Array.from({ length: 300 }, () => freePort()));
  expect(new Set(ports).size).toBe(ports.length);
});

(natsAvailable() ? test : test.skip)('a test nats-server comes back where it was', async () => {
  const nats = await startTestNats();
  const { username, password, host } = new URL(nats.url);
  const open = () => connect({ servers: host, user: username, pass: password, reconnect: false });
  await (await open()).close();
  await nats.stop();
  expect(nats.pid).toBe(0);
  await expect(open()).rejects.toThrow();
  await nats.restart();
  await (await open()).close();
  await nats.remove();
});
