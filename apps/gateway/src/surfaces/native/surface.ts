import { STATUS_CODES } from 'node:http';
import { paths, type Surface } from '../../surface.js';

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
