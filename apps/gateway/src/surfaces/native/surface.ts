import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { paths, type Surface } from '../../surface.js';

const problem = z
  .object({
    type: z.url(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string().regex(/^[A-Z0-9_]+$/),
    errors: z.array(z.object({ path: z.string(), message: z.string() })),
    correlationId: z.string(),
  })
  .meta({ id: 'Problem' });

/** Runledger's own: problem documents (RFC 9457). */
export const nativeSurface: Surface = {
  name: 'native',
  owns: paths('/api/v1'),
  contentType: 'application/problem+json',
  body: ({ status, code, message, details, correlationId }) => ({
    type: `https://runledger.dev/problems/${code.toLowerCase().replaceAll('_', '-')}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: message,
    code,
    errors: issuesOf(details),
    correlationId,
  }),
  bodyShape: () => problem,
};

interface Issue {
  path: string;
  message: string;
}

/** The places in the request that are wrong, where the refusal names any. */
function issuesOf(details: unknown): Issue[] {
  const { issues } = (details ?? {}) as { issues?: { path: (string | number)[]; message: string }[] };
  return (issues ?? []).map(({ path, message }) => ({ path: path.join('.'), message }));
}
