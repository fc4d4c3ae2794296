import { type FastifyRequest } from 'fastify';
import { subjects, type OutputChunk } from '#bus';
import { type Caller } from './caller.js';

const pageBytes = 128 * 1024;

export interface OutputRange {
  run: string;
  attempt?: number;
  stream?: 'stdout' | 'stderr';
}

/** A run's stored output, chunk by chunk. */
export async function* storedOutput(
  caller: Caller,
  request: FastifyRequest,
  range: OutputRange,
): AsyncGenerator<OutputChunk> {
  let after: { attempt: number; seq: number } | null = null;
  for (;;) {
    const page: { chunks: OutputChunk[]; more: boolean } = await caller.send(request, subjects.readOutput, {
      ...range,
      after,
      limit: pageBytes,
    });
    const { chunks, more } = page;
    yield* chunks;
    const last: OutputChunk | undefined = chunks.at(-1);
    if (!more || !last) return;
    after = { attempt: last.attempt, seq: last.seq };
  }
}

export const bytesOf = ({ bytes }: OutputChunk): Buffer => Buffer.from(bytes, 'base64');

/** The bytes from `from`, at most `limit`, of the stored output in order. */
export async function* slice(chunks: AsyncIterable<OutputChunk>, from = 0, limit = Infinity): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const chunk of chunks) {
    const bytes = bytesOf(chunk);
    const part = bytes.subarray(Math.max(0, from - at), Math.max(0, Math.min(bytes.length, from + limit - at)));
    at += bytes.length;
    if (part.length > 0) yield part;
    if (at >= from + limit) return;
  }
}
