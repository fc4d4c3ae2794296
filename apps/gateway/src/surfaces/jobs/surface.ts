import { z } from 'zod';
import { isSecretName } from '#domain';
import { paths, type Surface } from '../../surface.js';

interface Issue {
  code: string;
  path: (string | number)[];
  message: string;
  input?: unknown;
  in?: string;
}

const refusal = z.object({ detail: z.string() }).meta({ id: 'JobsRefusal' });
const malformed = z
  .object({
    detail: z.array(
      z.object({
        type: z.string(),
        loc: z.array(z.union([z.string(), z.int()])),
        msg: z.string(),
        input: z.union([z.string(), z.number(), z.boolean(), z.null()]),
      }),
    ),
  })
  .meta({ id: 'JobsMalformed' });

/** Job runner: `{"detail"}`, a list of `{type, loc, msg, input}` for input that does not fit. */
export const jobsSurface: Surface = {
  name: 'jobs',
  owns: paths(
    '/api/v1/jobs',
    '/api/v1/job-batches',
    '/api/v1/users',
    '/api/v1/admin',
    '/api/v1/auth',
    '/api/v1/health',
    '/api/v1/openapi.json',
  ),
  body: ({ status, message, details }) => ({ detail: status === 422 ? entries(message, details) : message }),
  bodyShape: (status) => (status === 422 ? malformed : refusal),
};

function entries(message: string, details: unknown): object[] {
  const { issues } = (details ?? {}) as { issues?: Issue[] };
  if (!issues) return [{ type: 'value_error', loc: ['body'], msg: message, input: null }];
  return issues.map(({ code, path, message: msg, input, in: where = 'body' }) => {
    // An `env` that is no object at all may be a line such as `API_TOKEN=...`.
    const hidden = path.some((part) => isSecretName(String(part))) || path.at(-1) === 'env';
    return { type: code, loc: [where, ...path], msg, input: hidden ? '***' : (input ?? null) };
  });
}
