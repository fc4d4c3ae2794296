/** Somebody who speaks HTTP to a stack: his credential, and what he waits for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkAnswer } from './described.js';
import { type Stack } from './stack.js';

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly bytes: Buffer;
  /** The parsed JSON; undefined when it is none. */
  readonly body: T;
}

export class Client {
  constructor(
    readonly url: string,
    private readonly headers: Record<string, string> = {},
  ) {}

  /** The same address with these headers beside or instead of its own. */
  with(headers: Record<string, string>): Client {
    return new Client(this.url, { ...this.headers, ...headers });
  }

  /** One of its own, `authorization` say. */
  header(name: string): string {
    return this.headers[name] ?? '';
  }

  get<T = unknown>(path: string, headers: Record<string, string> = {}): Promise<Answer<T>> {
    return this.call<T>('GET', path, undefined, headers);
  }

  post<T = unknown>(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer<T>> {
    return this.call<T>('POST', path, body, headers);
  }

  /** Text goes as it is, anything else as JSON; a form is `URLSearchParams`. An answer that the stack's OpenAPI document has not is an error. */
  async call<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const raw = body === undefined || typeof body === 'string' || body instanceof URLSearchParams;
    const type = body === undefined || body instanceof URLSearchParams ? {} : { 'content-type': 'application/json' };
    const answer = await fetch(`${this.url}${path}`, {
      method,
      headers: { ...type, ...this.headers, ...headers },
      body: raw ? (body ?? null) : JSON.stringify(body),
      redirect: 'manual',
      signal: AbortSignal.timeout(60_000),
    });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const text = new TextDecoder().decode(bytes);
    const json = text !== '' && /\bjson$/.test(answer.headers.get('content-type')?.split(';', 1)[0] ?? '');
    const { status, headers: sent } = answer;
    const received = { status, headers: sent, bytes, text, body: (json ? JSON.parse(text) : undefined) as T };
    await checkAnswer(this.url, method, path, received);
    return received;
  }
}

/** A user with a bearer token of his own, by name or e-mail; users that tests add have the first admin's password. */
export async function signIn({ url, adminPassword }: Stack, username: string): Promise<Client> {
  const form = new URLSearchParams({ username, password: adminPassword });
  const { status, body, text } = await new Client(url).post<{ access_token: string }>('/api/v1/auth/token', form);
  if (status !== 200) throw new Error(`${username} could not sign in: ${status} ${text}`);
  return new Client(url, { authorization: `Bearer ${body.access_token}` });
}

export const adminOf = (stack: Stack): Promise<Client> => signIn(stack, 'admin');

/** Asks until the answer is there, a minute at most: far longer than it takes, since a busy machine may stall. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | null | false>): Promise<T> {
  const until = performance.now() + 60_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > until) throw new Error(`Waited a minute for ${what}`);
    await sleep(40);
  }
}
