import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { OutboundRefused, type Outbound } from './outbound.js';

export interface Posted {
  status: number;
  /** How the answer begins. */
  body: string;
}

export interface Posting {
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
}

const patience = 10_000;
const mostKept = 1_024;

/** One POST, to an address that is open. A redirect is an answer like any other: nobody follows it. */
export async function post(outbound: Outbound, url: URL, { headers, body, signal }: Posting): Promise<Posted> {
  const ending = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
  const secure = url.protocol === 'https:';
  const port = Number(url.port) || (secure ? 443 : 80);
  const host = await within(ending, outbound.addressOf(url.hostname, port, ending));
  const name = isIP(url.hostname) || url.hostname.startsWith('[') ? {} : { servername: url.hostname };
  const sent = {
    ...{ host: url.host, 'user-agent': 'runledger', 'content-length': String(Buffer.byteLength(body)) },
    ...headers,
  };
  const path = `${url.pathname}${url.search}`;
  const options = { host, port, method: 'POST', path, headers: sent, agent: false, signal: ending };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = secure ? https.request({ ...options, ...name }) : http.request(options);
    request.on('response', resolve).on('error', reject);
    request.on('close', () => reject(new Error('closed without an answer'))).end(body);
  });
  return { status: response.statusCode ?? 0, body: await beginningOf(response) };
}

/** What went wrong, by its kind: no more of the network's own words than that. */
export function problemOf(error: unknown): string {
  if (error instanceof OutboundRefused) return error.message;
  const { name, code } = error as { name?: unknown; code?: unknown };
  if (name === 'TimeoutError' || name === 'AbortError') return `no answer within ${patience / 1_000} s`;
  return typeof code === 'string' ? `no answer: ${code}` : 'no answer';
}

export function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    const fail = () => reject(signal.reason as Error);
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
  return Promise.race([work, aborted]);
}

async function beginningOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    size += part.length;
    if (size >= mostKept) break;
  }
  // What a text column cannot hold.
  return Buffer.concat(parts).subarray(0, mostKept).toString('utf8').replaceAll('\u0000', '\ufffd');
}
