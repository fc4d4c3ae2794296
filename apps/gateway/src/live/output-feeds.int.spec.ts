import { createServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, type Socket as NetSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Server, type Socket } from 'socket.io';
import { io, type Socket as ClientSocket } from 'socket.io-client';
import { bells, type OutputChunk } from '#bus';
import { newId } from '#domain';
import { type Context } from '#service';
import { eventually } from '#testing';
import { World } from '../../../../libs/testing/src/context.js';
import { OutputFeeds, type Joined } from './output-feeds.js';
import { isAfter, type Piece, type Place } from './recent.js';
import { lineOf } from './socket-line.js';

let world: World;
let context: Context;
let feeds: OutputFeeds;
let run: string;
const servers: { http: HttpServer; io: Server }[] = [];
/** Stands where the executor does: what is stored, and how often it was asked. */
let stored: Piece[] = [];
let reads = 0;
let away = false;
const joined = new Map<string, Socket>();
const clients: Reader[] = [];

beforeAll(async () => {
  world = await World.create();
  context = await world.open();
  feeds = new OutputFeeds(context);
  world.exchange.serve('qry.output.read', (carried, respond) => {
    reads++;
    const { data } = carried as { data: { after: Place; limit: number } };
    respond(away ? { bug: 'away' } : { ok: page(data.after, data.limit) });
  });
  for (let n = 0; n < 2; n++) servers.push(await serve());
});
beforeEach(() => {
  [run, stored, reads, away] = [newId(), [], 0, false];
});
afterEach(() => clients.splice(0).forEach((client) => client.socket.disconnect()));
afterAll(async () => {
  for (const server of servers) await server.io.close();
  await world.close();
});

async function serve() {
  const http = createServer();
  const server = new Server(http, { serveClient: false });
  server.on('connection', (socket) => {
    let stay: Joined | null = null;
    socket.on('watch', (after: Place, done: () => void) => {
      joined.set(socket.id, socket);
      stay = feeds.join(run, after, lineOf(socket));
      done();
    });
    socket.on('finish', (told: () => void) => stay?.finish(told));
    socket.on('disconnect', () => stay?.leave());
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return { http, io: server };
}

function page(after: Place, limit: number): { chunks: OutputChunk[]; more: boolean } {
  const rest = stored.filter((piece) => isAfter(piece, after));
  const chunks: OutputChunk[] = [];
  for (let size = 0; chunks.length < rest.length;) {
    const { attempt, seq, stream, text } = rest[chunks.length]!;
    size += text.length;
    if (chunks.length > 0 && size > limit) break;
    chunks.push({ attempt, seq, stream, offset: 0, at: '', bytes: Buffer.from(text).toString('base64') });
  }
  return { chunks, more: chunks.length < rest.length };
}

class Reader {
  readonly seqs: number[] = [];
  readonly socket: ClientSocket;

  constructor(
    private readonly from: number,
    server = 0,
  ) {
    const { port } = servers[server]!.http.address() as AddressInfo;
    this.socket = io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true, reconnection: false });
    this.socket.on('output', ({ seq }: Piece) => this.seqs.push(seq));
    clients.push(this);
  }

  async watch(): Promise<this> {
    await new Promise<void>((resolve) => this.socket.on('connect', resolve));
    await this.socket.emitWithAck('watch', { attempt: this.from === 0 ? 0 : 1, seq: this.from });
    return this;
  }

  /** Each piece once, in order, none missing. */
  async hasAllUpTo(last: number): Promise<void> {
    await eventually(`piece ${last}`, async () => this.seqs.at(-1) === last);
    expect(this.seqs).toEqual(Array.from({ length: last - this.from }, (_, i) => this.from + 1 + i));
  }

  /** The line itself, to stop reading from it. */
  get line(): NetSocket {
    const { transport } = this.socket.io.engine as unknown as { transport: { ws: { _socket: NetSocket } } };
    return transport.ws._socket;
  }
}

const read = (from = 0, server = 0) => new Reader(from, server).watch();
const many = (count: number, from = 0) => Promise.all(Array.from({ length: count }, () => read(from)));

function print(size: number, ...seqs: number[]): Piece[] {
  const pieces = seqs.map((seq) => ({ run, attempt: 1, seq, stream: 'stdout' as const, text: 'x'.repeat(size) }));
  stored.push(...pieces);
  return pieces;
}
const ring = (pieces: Piece[]) => context.bus.ring(bells.output, pieces, run);
const upTo = (last: number, from = 0) => Array.from({ length: last - from }, (_, i) => from + 1 + i);

/** Again when the machine was slow: after two quiet seconds the store is asked anyhow. */
async function costs(expected: number, work: (last: number) => Promise<void>): Promise<void> {
  let cost = NaN;
  for (let tries = 0; tries < 5 && cost !== expected; tries++) {
    const before = reads;
    await work(stored.length);
    cost = reads - before;
  }
  expect(cost).toBe(expected);
}

test('newcomers at one place share a page, on both servers', async () => {
  print(100, ...upTo(20));
  const began = performance.now();
  const crowd = await Promise.all([many(20), read(0, 1)]);
  for (const each of crowd.flat()) await each.hasAllUpTo(20);
  expect(reads).toBeLessThanOrEqual(4 + (performance.now() - began) / 1_000);
});

test('a newcomer is told what was rung lately without asking the store', async () => {
  const first = await read();
  await eventually('the first look', async () => reads > 0);
  await costs(0, async (last) => {
    ring(print(100, ...upTo(last + 10, last)));
    await first.hasAllUpTo(last + 10);
    for (const from of [last + 4, last]) await (await read(from)).hasAllUpTo(last + 10);
  });
});

test('a gap is filled from the store, once for all', async () => {
  const crowd = await many(20);
  ring(print(100, 1, 2));
  for (const each of crowd) await each.hasAllUpTo(2);
  await costs(1, async (last) => {
    print(100, last + 1, last + 2, last + 3);
    ring(print(100, last + 4));
    for (const each of crowd) await each.hasAllUpTo(last + 4);
  });
});

test('the last piece comes though its bell was lost, and what a bell cannot carry', async () => {
  const crowd = await many(5);
  ring(print(100, 1));
  for (const each of crowd) await each.hasAllUpTo(1);
  print(100, 2);
  for (const each of crowd) await each.hasAllUpTo(2);
  await costs(1, async (last) => {
    const [{ text: _, ...place }] = print(100, last + 1) as [Piece];
    context.bus.ring(bells.output, [place], run);
    for (const each of crowd) await each.hasAllUpTo(last + 1);
  });
});

test('whoever waits for the end is told all of it first, bells or none', async () => {
  const someone = await read();
  for (const rung of [true, false]) {
    const last = stored.length + 60;
    const pieces = print(2_000, ...upTo(last, stored.length));
    if (rung) ring(pieces);
    await someone.socket.emitWithAck('finish');
    await someone.hasAllUpTo(last);
  }
});

test('a store that is away for a moment only delays', async () => {
  away = true;
  print(100, ...upTo(3));
  const someone = await read();
  await eventually('the store to be asked', async () => reads > 0);
  away = false;
  await someone.hasAllUpTo(3);
});

test('who reads slowly holds little, keeps nobody waiting, and catches up', async () => {
  const [slow, quick] = [await read(), await read()];
  const { id } = slow.socket;
  slow.line.pause();
  for (let last = 0; last < 400; last += 8) {
    ring(print(64 * 1024, ...upTo(last + 8, last)));
    await sleep(2);
  }
  await quick.hasAllUpTo(400);
  expect(slow.seqs.length).toBeLessThan(400);
  const { writeBuffer, transport } = joined.get(id!)!.conn as unknown as {
    writeBuffer: { data: string }[];
    transport: { socket: { bufferedAmount: number } };
  };
  const held = writeBuffer.reduce((sum, { data }) => sum + data.length, transport.socket.bufferedAmount);
  expect(held).toBeLessThan(300_000);
  slow.line.resume();
  await slow.hasAllUpTo(400);
});

test('whoever comes and goes while a run prints, bells being lost, is told everything once and in order', async () => {
  const last = 600;
  const comers: Promise<Reader>[] = [];
  for (let seq = 1; seq <= last; seq++) {
    const pieces = print(Math.floor(Math.random() * 20_000), seq);
    if (Math.random() < 0.9) ring(pieces);
    if (Math.random() < 0.1) comers.push(read(Math.floor(Math.random() * seq), seq % 2));
    if (Math.random() < 0.03) lines()[Math.floor(Math.random() * clients.length)]?.pause();
    if (Math.random() < 0.05) lines().forEach((line) => line.resume());
    await sleep(2);
  }
  lines().forEach((line) => line.resume());
  for (const comer of comers) await (await comer).hasAllUpTo(last);
});

const lines = () => clients.filter(({ socket }) => socket.connected).map(({ line }) => line);
