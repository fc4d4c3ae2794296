import { STATUS_CODES } from 'node:http';
import { type Socket } from 'node:net';
import { newId } from '#domain';
import { pathOf, surfaceOf } from './refusals.js';

interface ClientError extends Error {
  code?: string;
  rawPacket?: unknown;
}

const words: Record<number, [code: string, message: string]> = {
  400: ['BAD_REQUEST', 'This is not a well-formed HTTP request'],
  408: ['REQUEST_TIMEOUT', 'The request did not arrive in time'],
  431: ['HEADERS_TOO_LARGE', 'The address and headers are too large'],
};

/** What the parser refuses before there is a request, in the words of the surface whose path it still could read. */
export function answerClientError(error: ClientError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const status = statusOf(error.code);
  const [code, message] = words[status]!;
  const surface = surfaceOf(pathIn(error.rawPacket));
  const body = JSON.stringify(surface.body({ status, code, message, correlationId: newId() }));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${surface.contentType ?? 'application/json'}; charset=utf-8`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function statusOf(code: string | undefined): number {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}

function pathIn(packet: unknown): string {
  const start = Buffer.isBuffer(packet) ? packet.toString('latin1', 0, 2_048) : '';
  const [, target = '/'] = /^[A-Z]+ (\/\S*)/.exec(start) ?? [];
  return pathOf(target);
}
