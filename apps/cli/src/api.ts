/** Runledger over HTTP: sends, reads, and turns every refusal into a line that says what to do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { serverUrl, tokenFor } from './credentials.js';
import { Failure } from './failure.js';
import { refused, unreachable } from './refusals.js';

interface Request {
  body?: unknown;
  accept?: string;
  timeoutMs?: number;
}
type Query = Record<string, string | number | undefined>;

export interface Page<T> {
  items: T[];
  next: string | null;
}

/** Where the server has the job runner's paths; the others stay under `/api/v1`. */
export const jobsPrefix = process.env.RUNLEDGER_JOBS_PREFIX || '/api/v1';

const usualTimeout = 30_000;
const patience = 120_000;
const largestPage = 1_000;

export class Api {
  constructor(
    readonly url: string,
    readonly token: string | undefined,
  ) {}

  async get<T>(path: string, query: Query = {}, request: Request = {}): Promise<T> {
    return (await (await this.send('GET', path + textOf(query), request)).json()) as T;
  }

  /** The answer, and the position from which on it can be read. */
  async post<T>(path: string, body: unknown): Promise<{ answer: T; position: string | undefined }> {
    const response = await this.send('POST', path, { body });
    return {
      answer: (await response.json()) as T,
      position: response.headers.get('x-ledger-position') ?? undefined,
    };
  }

  async text(path: string, query: Query, accept: string): Promise<string> {
    return (await this.send('GET', path + textOf(query), { accept })).text();
  }

  async bytes(path: string, query: Query): Promise<Uint8Array> {
    return new Uint8Array(await (await this.send('GET', path + textOf(query))).arrayBuffer());
  }

  /** The first items of a list, page after page. */
  async list<T>(path: string, query: Query, most: number): Promise<T[]> {
    const found: T[] = [];
    let cursor: string | undefined;
    do {
      const limit = Math.min(most - found.length, largestPage);
      const { items, next } = await this.get<Page<T>>(path, { ...query, limit, cursor });
      found.push(...items);
      cursor = next ?? undefined;
    } while (cursor !== undefined && found.length < most);
    return found;
  }

  private async send(method: string, path: string, request: Request = {}): Promise<Response> {
    const { body, accept = 'application/json', timeoutMs = usualTimeout } = request;
    const form = body instanceof URLSearchParams;
    const headers = {
      accept,
      ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
      ...(body === undefined || form ? {} : { 'content-type': 'application/json' }),
    };
    const response = await fetch(this.url + path, {
      method,
      headers,
      body: body === undefined ? null : form ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((error: Error) => {
      throw unreachable(error, this.url);
    });
    if (!response.ok) throw refused(response, await response.text(), this.url);
    return response;
  }
}

/** Speaks to the server that is meant, as whoever signed in there. */
export function connect({ url: given }: { url?: string | undefined }): Api {
  const url = serverUrl(given);
  return new Api(url, tokenFor(url));
}

/** Asks again while the server is away or busy, two minutes at most. */
export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (const until = performance.now() + patience; ; await sleep(500)) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof Failure && error.passing) || performance.now() > until) throw error;
    }
  }
}

function textOf(query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) given.set(name, String(value));
  return given.size > 0 ? `?${given}` : '';
}
