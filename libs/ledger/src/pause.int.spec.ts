import { type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase, type TestDatabase } from '#testing';
import { write } from './append.js';
import { compose } from './flush-call.js';
import {
  added,
  closeLedgers,
  ledgerTemplate,
  newStream,
  openLedger,
  until,
  verdictOf,
  type TestLedger,
} from './ledger.harness.js';

/** A writer that is stopped (SIGSTOP, a debugger, a network that swallows) must never hold the ledger's lock. */
let database: TestDatabase;
let own: TestLedger;
const clients: pg.Client[] = [];

beforeAll(async () => {
  database = await createDatabase(ledgerTemplate);
  own = openLedger(database.url);
});
afterAll(async () => {
  for (const client of clients) socketOf(client).destroy();
  await closeLedgers();
  await database.drop();
});

const socketOf = (client: pg.Client) => (client as unknown as { connection: { stream: Socket } }).connection.stream;

/** A connection whose socket the test writes to by itself, and does not read. */
async function rawClient(): Promise<{ socket: Socket; pid: number }> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => {});
  await client.connect();
  clients.push(client);
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const socket = socketOf(client);
  socket.pause();
  return { socket, pid: rows[0]!.pid };
}

/** The flush as it goes over the wire. */
function message(streams: string[]): Buffer {
  const entries = streams.map((stream) => write(added(stream, 0, [1], { alongside: {} }), {}));
  const text = Buffer.from(`${compose(entries)}\0`);
  const head = Buffer.alloc(5);
  head.write('Q');
  head.writeInt32BE(text.length + 4, 1);
  return Buffer.concat([head, text]);
}

const send = (socket: Socket, bytes: Buffer) => new Promise((resolve) => socket.write(bytes, resolve));

async function writersProceed(): Promise<void> {
  for (let i = 0; i < 20; i++) {
    expect(await verdictOf(own.ledger, added(newStream(), 0))).toMatchObject({ verdict: 'appended' });
  }
}

test('half a flush on the wire holds nobody up, and is carried out when the rest comes', async () => {
  const { socket } = await rawClient();
  const streams = Array.from({ length: 4_000 }, () => newStream());
  const bytes = message(streams);
  expect(bytes.length).toBeGreaterThan(300_000);
  await send(socket, bytes.subarray(0, bytes.length - 1));
  await writersProceed();
  expect(await own.ledger.read(streams[0]!)).toEqual([]);
  await send(socket, bytes.subarray(bytes.length - 1));
  await until(async () => (await own.ledger.read(streams.at(-1)!)).length === 1);
});

test('a writer that never reads its answer has committed and holds nobody up', async () => {
  const { socket, pid } = await rawClient();
  const streams = Array.from({ length: 1_000 }, () => newStream());
  await send(socket, message(streams));
  await until(async () => (await own.ledger.read(streams.at(-1)!)).length === 1);
  await writersProceed();
  const text = 'select state, wait_event from pg_stat_activity where pid = $1';
  await until(async () => (await own.pool.query(text, [pid])).rows[0]?.state === 'idle');
  expect((await own.pool.query(text, [pid])).rows).toEqual([{ state: 'idle', wait_event: 'ClientRead' }]);
  expect((await own.pool.query('select from pg_locks where pid = $1', [pid])).rowCount).toBe(0);
});

test('a writer killed half-way leaves nothing behind', async () => {
  const { socket } = await rawClient();
  const streams = [newStream()];
  const bytes = message(streams);
  await send(socket, bytes.subarray(0, bytes.length >> 1));
  socket.destroy();
  await writersProceed();
  expect(await own.ledger.read(streams[0]!)).toEqual([]);
});
