interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
}

export type SurfaceName = 'viewer' | 'native' | 'jobs' | 'tasks' | 'api' | 'root';

const text = expect.stringMatching(/./) as string;
const problem = {
  type: expect.stringMatching(/^https:\/\/runledger\.dev\/problems\/[a-z-]+$/) as string,
  title: text,
  detail: text,
  code: expect.stringMatching(/^[A-Z_]+$/) as string,
  errors: expect.any(Array) as unknown[],
  correlationId: text,
};

const code = expect.stringMatching(/^[A-Z_]+$/) as string;
const taskCodes: Record<number, string> = {
  ...{ 401: 'UNAUTHORIZED', 403: 'FORBIDDEN', 404: 'NOT_FOUND', 422: 'VALIDATION_ERROR', 500: 'INTERNAL_ERROR' },
};

/** What each surface's "no" looks like, by its document. */
const bodies: Record<SurfaceName, (status: number) => object> = {
  viewer: () => ({ error: text }),
  root: () => ({ error: text }),
  api: () => ({ error: text, status: 'error', details: expect.anything() as unknown, detail: text }),
  jobs: (status) => ({ detail: status === 422 ? (expect.any(Array) as unknown[]) : text }),
  native: (status) => ({ ...problem, status }),
  tasks: (status) => ({
    error: { code: taskCodes[status] ?? code, message: text, details: expect.any(Object) as object },
  }),
};

/** Checks status, content type and body; no answer may show what is behind it. */
export function expectRefusal(surface: SurfaceName, status: number, answer: Answer, what: unknown = ''): void {
  const type = `application/${surface === 'native' ? 'problem+json' : 'json'}; charset=utf-8`;
  const said = typeof what === 'string' ? what : JSON.stringify(what);
  const { headers, body } = answer;
  expect([said, answer.status, headers.get('content-type'), answer.text]).toEqual([said, status, type, text]);
  const want = bodies[surface](status);
  if (surface === 'api') expect(body).toEqual({ ...want, details: (body as { details: unknown }).details });
  else expect(body).toEqual(want);
  if (surface === 'jobs' && status === 422) {
    for (const entry of (body as { detail: object[] }).detail) {
      expect(Object.keys(entry).sort()).toEqual(['input', 'loc', 'msg', 'type']);
    }
  }
  expect(answer.text).not.toMatch(/<html|<!doctype|node_modules|\.[jt]s:\d+|\bat \w+.*\(|select .* from|Error:/i);
}

/** The newest position of the ledger: nothing was written while it stays. */
export async function headOf(admin: { get(path: string): Promise<Answer> }): Promise<string> {
  const { headers } = await admin.get('/api/v1/events?limit=1');
  return headers.get('x-ledger-position') ?? 'none';
}
