import { STATUS_CODES } from 'node:http';
import { type Socket } from 'node:net';
import { type Duplex } from 'node:stream';
import { newId, type Refusal } from '#domain';
import { pathOf, statusOf as statuses, surfaceOf } from './refusals.js';
import { type Fault } from './surface.js';

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
  answer(socket, pathIn(error.rawPacket), { status, code, message });
}

/** A handshake's refusal: there is no reply to answer it with. */
export function refuseUpgrade(socket: Duplex, path: string, { kind, code, message }: Refusal): void {
  if (!socket.writable) return void socket.destroy();
  answer(socket, path, { status: statuses[kind], code, message });
}

function answer(socket: Duplex, path: string, fault: Pick<Fault, 'status' | 'code' | 'message'>): void {
  const surface = surfaceOf(path);
  const body = JSON.stringify(surface.body({ ...fault, correlationId: newId() }));
  const head = [
    `HTTP/1.1 ${fault.status} ${STATUS_CODES[fault.status]}`,
    `content-type: ${surface.contentType ?? 'application/json'}; charset=utf-8`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...(fault.status === 401 ? ['www-authenticate: Bearer'] : []),
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
