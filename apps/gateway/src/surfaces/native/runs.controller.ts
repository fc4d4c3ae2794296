import { Readable } from 'node:stream';
import { Controller, Req, Res, StreamableFile } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { type z } from 'zod';
import { subjects, type EventMessage, type OutputChunk } from '#bus';
import { isOver, Refusal } from '#domain';
import { Caller, hasRight, idFor, ownerFilter } from '../../caller.js';
import { bytesOf, slice, storedOutput } from '../../output.js';
import { bodyOf, paramOf, queryOf } from '../../parse.js';
import { Route } from '../../route.js';
import { checkAction, findOwnRun, findRun, rowOf, waitOf } from '../../rows.js';
import {
  cancelBody,
  emptyBody,
  listOf,
  nativeEvent,
  nativeRun,
  nativeRunShape,
  oneQuery,
  outputQuery,
  runBody,
  runsQuery,
  streamQuery,
} from './native.shapes.js';

type Shape = z.infer<typeof nativeRun>;

@Controller()
export class NativeRunController {
  constructor(private readonly caller: Caller) {}

  @Route('POST', '/api/v1/runs', {
    policy: 'runs:request',
    summary: 'Runs something once',
    status: 202,
    body: runBody,
    answer: nativeRun,
  })
  async request(@Req() request: FastifyRequest): Promise<Shape> {
    const { name, action, policies, parameters = null } = bodyOf(runBody, request);
    checkAction(request, action);
    const sealed = this.caller.seal(action);
    const order = { id: idFor(request, 'run'), name: name ?? action.kind, ...sealed, policies, parameters };
    const born = { ...order, payload: null, scheduledFor: null, retryOf: null, process: null };
    return nativeRunShape(rowOf(await this.caller.send(request, subjects.requestRun, born)));
  }

  @Route('GET', '/api/v1/runs', {
    policy: 'runs:read',
    summary: 'Runs, newest first',
    query: runsQuery,
    answer: listOf(nativeRun),
  })
  async list(@Req() request: FastifyRequest): Promise<{ items: Shape[]; next: string | null }> {
    const { status, ...filter } = queryOf(runsQuery, request);
    const asked = { ...filter, ...(status ? { status: [status] } : {}), ...ownerFilter(request) };
    const { items, next } = await this.caller.see(request, subjects.listRuns, asked);
    return { items: items.map(nativeRunShape), next };
  }

  @Route('GET', '/api/v1/runs/:id', { policy: 'runs:read', summary: 'One run', query: oneQuery, answer: nativeRun })
  async get(@Req() request: FastifyRequest): Promise<Shape> {
    const { after } = queryOf(oneQuery, request);
    const row = await findRun(this.caller, request, paramOf(request), after);
    const wait = await waitOf(this.caller, request, row);
    return nativeRunShape(wait === null ? row : { ...row, reason: wait });
  }

  @Route('GET', '/api/v1/runs/:id/events', {
    policy: 'runs:read',
    summary: "A run's events, oldest first",
    query: streamQuery,
    answer: listOf(nativeEvent),
  })
  async events(@Req() request: FastifyRequest): Promise<{ items: EventMessage[]; next: string | null }> {
    const { after, limit, cursor } = queryOf(streamQuery, request);
    const { id } = await findRun(this.caller, request, paramOf(request), after);
    const filter = { after: cursor ?? '0', limit, stream: `run-${id}` };
    const { items, scanned, head } = await this.caller.send(request, subjects.listEvents, filter);
    request.ledgerPosition = head;
    return { items, next: items.length === limit ? scanned : null };
  }

  @Route('GET', '/api/v1/runs/:id/output', {
    policy: 'runs:read',
    summary: 'Stored output of the newest attempt, or of `attempt`: text, or chunks as NDJSON when asked for',
    query: outputQuery,
    produces: ['text/plain', 'application/x-ndjson'],
  })
  async output(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StreamableFile> {
    const { stream, attempt, from, limit, after } = queryOf(outputQuery, request);
    const run = await findRun(this.caller, request, paramOf(request), after);
    const range = { run: run.id, attempt: attempt ?? Math.max(run.attempt, 1), ...(stream ? { stream } : {}) };
    const chunks = storedOutput(this.caller, request, range);
    void reply.header('x-content-type-options', 'nosniff');
    if (request.headers.accept?.includes('application/x-ndjson')) {
      return new StreamableFile(Readable.from(lines(wholeCharacters(chunks, from, limit))), {
        type: 'application/x-ndjson',
      });
    }
    return new StreamableFile(Readable.from(slice(chunks, from, limit)), { type: 'text/plain; charset=utf-8' });
  }

  @Route('POST', '/api/v1/runs/:id/cancel', {
    policy: 'runs:control',
    summary: 'Ends a run and everything it started; 409 when it is over',
    status: 202,
    body: cancelBody,
    answer: nativeRun,
  })
  async cancel(@Req() request: FastifyRequest): Promise<Shape> {
    const { reason } = bodyOf(cancelBody, request);
    const order = { id: paramOf(request), any: hasRight(request, 'any:write'), reason };
    const { position } = await this.caller.send(request, subjects.cancelRun, order);
    return nativeRunShape(await findRun(this.caller, request, order.id, position));
  }

  @Route('POST', '/api/v1/runs/:id/retry', {
    policy: 'runs:request',
    summary: 'Runs the same again as a new run; the old one must be over',
    status: 202,
    body: emptyBody,
    answer: nativeRun,
  })
  async retry(@Req() request: FastifyRequest): Promise<Shape> {
    bodyOf(emptyBody, request);
    const old = await findOwnRun(this.caller, request, paramOf(request));
    if (!isOver(old.status)) throw new Refusal('conflict', 'RUN_NOT_OVER', `The run is not over: ${old.status}`);
    checkAction(request, old.action);
    const { name, action, process, payload, policies, parameters } = old;
    const order = {
      id: idFor(request, 'run'),
      name,
      action,
      process,
      payload,
      policies,
      parameters,
      scheduledFor: null,
      retryOf: old.id,
    };
    return nativeRunShape(rowOf(await this.caller.send(request, subjects.requestRun, order)));
  }
}

interface Piece extends Omit<OutputChunk, 'bytes'> {
  bytes: Buffer;
}

/** The chunks between two bytes of the stored output, cut there: a character belongs where its first byte is. */
async function* wholeCharacters(chunks: AsyncIterable<OutputChunk>, from = 0, limit = Infinity): AsyncGenerator<Piece> {
  let at = 0;
  for await (const chunk of chunks) {
    const bytes = bytesOf(chunk);
    const start = characterFrom(bytes, from - at);
    const end = characterFrom(bytes, from + limit - at);
    at += bytes.length;
    if (end > start) yield { ...chunk, offset: chunk.offset + start, bytes: bytes.subarray(start, end) };
    if (at >= from + limit) return;
  }
}

/** The first place from `wanted` on where a character begins; never far off, whatever the bytes are. */
function characterFrom(bytes: Buffer, wanted: number): number {
  if (wanted <= 0) return 0;
  let place = Math.min(wanted, bytes.length);
  while (place < wanted + 3 && place < bytes.length && (bytes[place]! & 0xc0) === 0x80) place++;
  return place;
}

async function* lines(pieces: AsyncIterable<Piece>): AsyncGenerator<string> {
  for await (const { attempt, seq, stream, offset, at, bytes } of pieces) {
    yield `${JSON.stringify({ attempt, seq, stream, offset, at, text: bytes.toString('utf8') })}\n`;
  }
}
