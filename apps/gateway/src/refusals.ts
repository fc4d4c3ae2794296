import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { type FastifyReply, type FastifyRequest } from 'fastify';
import { z, ZodError } from 'zod';
import { RemoteBug } from '#bus';
import { newId, Refusal, type RefusalKind } from '#domain';
import { Context } from '#service';
import { jobsSurface } from './surfaces/jobs/surface.js';
import { nativeSurface } from './surfaces/native/surface.js';
import { tasksSurface } from './surfaces/tasks/surface.js';
import { viewerSurface } from './surfaces/viewer/surface.js';
import { paths, type Fault, type Surface } from './surface.js';

/** Each kind of "no", once; a surface may override some. */
export const statusOf: Record<RefusalKind, number> = {
  malformed: 422,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  rejected: 400,
  conflict: 409,
  limited: 429,
  unavailable: 503,
};

/** What HTTP itself refuses, before any rule is asked. */
export class HttpRefusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
  }
}

const everySpelling = z
  .object({ error: z.string(), status: z.literal('error'), details: z.unknown(), detail: z.string() })
  .meta({ id: 'ApiRefusal' });
const plain = z.object({ error: z.string() }).meta({ id: 'RootRefusal' });

/** Paths under /api that no document claims answer every spelling that those clients read. */
const unclaimed: Surface = {
  name: 'api',
  owns: paths('/api'),
  body: ({ message, details }) => ({ error: message, status: 'error', details: details ?? null, detail: message }),
  bodyShape: () => everySpelling,
};
const root: Surface = {
  name: 'root',
  owns: () => true,
  body: ({ message }) => ({ error: message }),
  bodyShape: () => plain,
};

/** The first that owns the path is the surface. */
export const surfaces: Surface[] = [jobsSurface, nativeSurface, tasksSurface, viewerSurface, unclaimed, root];

export const surfaceOf = (path: string): Surface => surfaces.find((surface) => surface.owns(path)) ?? root;

export const pathOf = (url: string): string => url.split('?', 1)[0]!;

/** What the router went by: an address that is written another way (escapes, a fragment, with its host) is its route's. */
export function routedPath({ url, routeOptions }: FastifyRequest): string {
  const path = pathOf(url);
  return /^\/[^%#]*$/.test(path) ? path : (routeOptions.url ?? path);
}

/** The one filter: every error that a client sees leaves through here, in the words of the path's surface. */
@Catch()
export class RefusalFilter implements ExceptionFilter {
  constructor(private readonly context: Context) {}

  catch(error: unknown, host: ArgumentsHost): void {
    this.answer(error, host.switchToHttp().getRequest(), host.switchToHttp().getResponse());
  }

  answer(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
    if (reply.sent) return;
    const surface = surfaceOf(routedPath(request));
    const correlationId = typeof request.id === 'string' ? request.id : newId();
    const { status, headers = {}, ...rest } = this.understand(error, surface, correlationId);
    void reply
      .status(status)
      .headers({ ...headers, ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}) })
      .header('content-type', `${surface.contentType ?? 'application/json'}; charset=utf-8`)
      .send(JSON.stringify(surface.body({ status, ...rest, correlationId })));
  }

  private understand(
    error: unknown,
    surface: Surface,
    correlationId: string,
  ): Omit<Fault, 'correlationId'> & { headers?: Record<string, string> } {
    if (error instanceof ZodError) return this.understand(malformed(error), surface, correlationId);
    if (error instanceof Refusal) {
      const status = surface.statuses?.[error.kind] ?? statusOf[error.kind];
      const wait = error.kind === 'limited' || error.kind === 'unavailable';
      const headers: Record<string, string> = wait ? { 'retry-after': retryAfter(error) } : {};
      if (error.kind === 'unavailable')
        this.context.log.warn({ code: error.code, details: error.details, correlationId }, error.message);
      const details = error.kind === 'unavailable' ? undefined : error.details;
      return { status, code: error.code, message: error.message, details, headers };
    }
    if (error instanceof HttpRefusal)
      return { status: error.status, code: error.code, message: error.message, headers: error.headers };
    const known = protocolFault(error, surface);
    if (known) return known;
    if (!(error instanceof RemoteBug)) this.context.log.error({ err: error, correlationId }, 'a request failed');
    return { status: 500, code: 'INTERNAL_ERROR', message: `Internal server error (correlation id ${correlationId})` };
  }
}

function retryAfter({ details }: Refusal): string {
  const { retryAfterSeconds } = (details ?? {}) as { retryAfterSeconds?: number };
  return String(retryAfterSeconds ?? 1);
}

/** What a zod shape found, with where it stood. */
export function malformed(error: ZodError, where: 'body' | 'query' | 'path' = 'body', input?: unknown): Refusal {
  const issues = error.issues.map(({ code, path, message }) => ({
    code,
    path: path.map((part) => (typeof part === 'symbol' ? String(part) : part)),
    message,
    in: where,
    input: at(input, path),
  }));
  const first = issues[0];
  const place = first?.path.length ? `${first.path.join('.')}: ` : '';
  return new Refusal('malformed', 'MALFORMED', `${place}${first?.message ?? 'malformed input'}`, { issues });
}

function at(input: unknown, path: PropertyKey[]): unknown {
  const found = path.reduce<unknown>(
    (value, part) => (value as Record<PropertyKey, unknown> | undefined | null)?.[part],
    input,
  );
  return typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean' ? found : null;
}

/** Fastify's and Nest's own complaints about a request. */
function protocolFault(error: unknown, surface: Surface): Omit<Fault, 'correlationId'> | null {
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  switch (code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', message: 'This content type is not supported here' };
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL':
      return { status: surface.statuses?.malformed ?? 400, code: 'MALFORMED', message: 'Malformed request' };
  }
  const status = error instanceof HttpException ? error.getStatus() : typeof statusCode === 'number' ? statusCode : 0;
  if (status === 404) return { status, code: 'NO_SUCH_PATH', message: 'Not found' };
  if (status === 413) return { status, code: 'BODY_TOO_LARGE', message: 'The request body is too large' };
  if (status >= 400 && status < 500) return { status, code: 'BAD_REQUEST', message: 'Bad request' };
  return null;
}
