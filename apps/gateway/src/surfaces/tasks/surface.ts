import { z } from 'zod';
import { paths, type Surface } from '../../surface.js';

const refusal = z
  .object({ error: z.object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) }) })
  .meta({ id: 'TasksRefusal' });

/** The document's own words; what it has none for keeps its own. */
const codes: Record<number, string> = {
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  422: 'VALIDATION_ERROR',
  500: 'INTERNAL_ERROR',
};

/** Task scheduler: `{"error": {code, message, details}}`; the places in the request that are wrong stand in `details.issues`. */
export const tasksSurface: Surface = {
  name: 'tasks',
  // Whoever watches over a service may ask how it is as often as he likes.
  limited: (path) => path !== '/health',
  owns: paths(
    '/api/auth/signin',
    '/api/auth/signout',
    '/api/tasks',
    '/api/logs',
    '/api/activity-logs',
    '/execute-task',
    '/health',
    '/ws',
  ),
  body: ({ status, code, message, details }) => ({
    error: { code: codes[status] ?? code, message, details: issuesOf(details) },
  }),
  bodyShape: () => refusal,
};

function issuesOf(details: unknown): object {
  const { issues } = (details ?? {}) as { issues?: { path: (string | number)[]; message: string }[] };
  return issues ? { issues: issues.map(({ path, message }) => ({ path: path.join('.'), message })) } : {};
}
