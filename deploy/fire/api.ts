/** HTTP as a client speaks it, over kept connections; what fails on the way rejects. */
import { Agent, request } from 'node:http';

export interface Answered<T> {
  readonly status: number;
  readonly position: string | undefined;
  readonly text: string;
  readonly body: T;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly timeoutMs?: number;
}

export interface RunShape {
  id: string;
  name: string;
  status: string;
  reason: string | null;
  attempt: number;
  startedAt: string | null;
  finishedAt: string | null;
  requestedAt: string;
  exitCode: number | null;
  signal: string | null;
  ops: number;
  progress: number | null;
  message: string | null;
  output: { bytes: number; stored: number; truncated: boolean; sha256: string } | null;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export class Api {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 400 });
  private token = '';

  constructor(
    readonly url: string,
    private readonly password: string,
    private readonly username = 'admin',
  ) {}

  get bearer(): string {
    return this.token;
  }

  async signIn(): Promise<void> {
    const body = new URLSearchParams({ username: this.username, password: this.password }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await this.call<{ access_token: string }>('POST', '/api/v1/auth/token', { body, headers });
    if (answer.status !== 200) throw new Error(`${this.username} could not sign in: ${answer.status} ${answer.text}`);
    this.token = answer.body.access_token;
  }

  get<T>(path: string): Promise<Answered<T>> {
    return this.call<T>('GET', path);
  }

  post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answered<T>> {
    return this.call<T>('POST', path, { body, headers });
  }

  call<T>(method: string, path: string, options: CallOptions = {}): Promise<Answered<T>> {
    const { body, timeoutMs = 20_000 } = options;
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const headers = {
      ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
      ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      ...options.headers,
    };
    return new Promise((resolve, reject) => {
      const asked = request(`${this.url}${path}`, { method, headers, agent: this.agent }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', reject);
        answer.on('aborted', () => reject(new Error('cut')));
        answer.on('end', () => {
          const all = Buffer.concat(parts).toString('utf8');
          const json = /\bjson\b/.test(answer.headers['content-type'] ?? '');
          const position = answer.headers['x-ledger-position'];
          resolve({
            status: answer.statusCode ?? 0,
            position: typeof position === 'string' ? position : undefined,
            text: all,
            body: (json ? JSON.parse(all) : undefined) as T,
          });
        });
      });
      asked.setTimeout(timeoutMs, () => asked.destroy(new Error('no answer in time')));
      asked.on('error', reject);
      asked.end(text);
    });
  }

  /** All pages, newest first. */
  async runs(): Promise<RunShape[]> {
    const all: RunShape[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const from: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
      const { status, body, text } = await this.get<Page<RunShape>>(`/api/v1/runs?limit=1000${from}`);
      if (status !== 200) throw new Error(`The runs could not be listed: ${status} ${text}`);
      all.push(...body.items);
      cursor = body.next;
    }
    return all;
  }

  /** What a run printed, as it is stored. */
  output(id: string, attempt?: number): Promise<string> {
    const which = attempt === undefined ? '' : `?attempt=${attempt}`;
    return this.get(`/api/v1/runs/${id}/output${which}`).then(({ text }) => text);
  }

  close(): void {
    this.agent.destroy();
  }
}
