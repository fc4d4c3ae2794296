import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import cookie from '@fastify/cookie';
import { type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { securityHeaders } from './security-headers.js';
import { correlation } from '#bus';
import { isId, newId, Refusal } from '#domain';
import { nestLogger, type Context } from '#service';
import { Caller } from './caller.js';
import { answerClientError } from './client-error.js';
import { readBodies } from './json-body.js';
import { bearerToken, cookieToken } from './credentials.js';
import { Live } from './live.js';
import { Drain } from './drain.js';
import { describeApi } from './openapi.js';
import { HttpRefusal, pathOf, RefusalFilter, routedPath, surfaceOf } from './refusals.js';
import { RateLimiter } from './rate-limiter.js';
import { routes } from './route.js';
import { TokenCheck } from './token-check.js';
import { version } from './surfaces/pages.controller.js';
import { TaskSockets } from './surfaces/tasks/tasks.socket.js';

const bodyLimit = 1_048_576;
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** The HTTP application around a module: parsing, headers, correlation, default deny, docs and live sockets. */
export async function createHttp(module: Type | { module: Type }, context: Context): Promise<NestFastifyApplication> {
  const { config, log } = context;
  const filter = new RefusalFilter(context);
  const adapter = new FastifyAdapter({
    bodyLimit,
    genReqId: ({ headers }: IncomingMessage) => correlationIdOf(headers['x-correlation-id']),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 200 },
    forceCloseConnections: 'idle',
    clientErrorHandler: answerClientError,
    http: { shouldUpgradeCallback },
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      filter.answer(error, request, reply),
    rewriteUrl: ({ url = '/' }: IncomingMessage) => withoutPrefix(url, config.RUNLEDGER_JOBS_PREFIX),
  });
  const app = await NestFactory.create<NestFastifyApplication>(module as Type, adapter, {
    logger: nestLogger(log),
    bodyParser: false,
    abortOnError: false,
  });
  const fastify = app.getHttpAdapter().getInstance() as unknown as FastifyInstance;
  refuseOpenRoutes(fastify);
  limitBodies(fastify);
  readBodies(fastify);
  await app.register(cookie as never);
  if (config.RUNLEDGER_ALLOWED_ORIGINS.length > 0) {
    const origin = config.RUNLEDGER_ALLOWED_ORIGINS;
    app.enableCors({ origin, credentials: true, exposedHeaders, methods: [...methods] });
  }
  addHooks(fastify, app, context);
  app.useGlobalFilters(filter);
  SwaggerModule.setup('docs', app, () => describeApi(version, config.RUNLEDGER_JOBS_PREFIX) as OpenAPIObject, {
    jsonDocumentUrl: undefined,
    raw: false,
  });
  return app;
}

/** Listens on every port of `PORT`, with the live sockets on each: the documents name three. */
export async function listen(app: NestFastifyApplication, { config, log }: Context): Promise<void> {
  await app.init();
  await app.startAllMicroservices();
  const [live, tasks] = [app.get(Live), app.get(TaskSockets)];
  const drain = app.get(Drain);
  const [first, ...more] = config.PORT;
  const handler = app.getHttpServer().listeners('request')[0] as RequestListener;
  live.attach(app.getHttpServer());
  tasks.attach(app.getHttpServer());
  drain.add(app.getHttpServer());
  await app.listen(first!, config.HOST);
  for (const port of more) {
    const server = createServer({ shouldUpgradeCallback }, handler).on('clientError', answerClientError);
    live.attach(server);
    tasks.attach(server);
    drain.add(server);
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, config.HOST, resolve));
    app.getHttpServer().once('close', () => server.close());
  }
  log.info({ host: config.HOST, ports: config.PORT }, 'listening');
}

/** Whoever offers to go on in another protocol (h2c) is answered in this one. */
const shouldUpgradeCallback = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket';

const exposedHeaders = [
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'X-Ledger-Position',
  'X-Correlation-Id',
];

type Taken = ReturnType<Context['metrics']['requests']['labels']>;

/** The histogram's child for these labels: looked up by them each time it would cost as much as half of all hooks. */
function histograms({ metrics }: Context): (surface: string, method: string, status: string) => Taken {
  const children = new Map<string, Taken>();
  return (surface, method, status) => {
    const key = `${surface} ${method} ${status}`;
    const child = children.get(key) ?? metrics.requests.labels({ surface, method, status });
    children.set(key, child);
    return child;
  };
}

function addHooks(fastify: FastifyInstance, app: NestFastifyApplication, context: Context): void {
  const { config, log } = context;
  const secure = securityHeaders(config.production);
  const took = histograms(context);
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.headers(routedPath(request).startsWith('/api/') ? secure.data : secure.pages);
    void reply.header('x-correlation-id', request.id);
    correlation.run(request.id, done);
  });
  fastify.addHook('onRequest', (request, reply, done) => {
    const path = routedPath(request);
    if (surfaceOf(path).limited?.(path)) limit(app, request, reply).then(() => done(), done);
    else done();
  });
  const head = (): Promise<string> => app.get<Caller>(Caller).head();
  fastify.addHook('onSend', (request, reply, _payload, done) => {
    const path = routedPath(request);
    if (path.startsWith('/api')) void reply.header('cache-control', 'no-store');
    const at = (position: string) => {
      void reply.header('x-ledger-position', position);
      done();
    };
    if (surfaceOf(path).name !== 'native') done();
    else if (request.ledgerPosition !== undefined) at(request.ledgerPosition);
    else head().then(at, done);
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const path = routedPath(request);
    const status = `${Math.floor(reply.statusCode / 100)}xx`;
    took(surfaceOf(path).name, request.method, status).observe(reply.elapsedTime / 1_000);
    log.debug(
      {
        method: request.method,
        path,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        correlationId: request.id,
      },
      'http',
    );
    done();
  });
  fastify.addHook('preParsing', (request, _reply, payload, done) => {
    const wrongMethod = request.is404 ? otherMethod(fastify, request.method, pathOf(request.url)) : null;
    done(wrongMethod ?? nulIn(request.url), payload);
  });
}

/** Whoever comes without a good credential is his address. */
async function limit(app: NestFastifyApplication, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const bearer = bearerToken(request);
  const token = bearer ?? cookieToken(request);
  const check = async () => app.get<TokenCheck>(TokenCheck).check(token!, bearer ? 'bearer' : 'cookie');
  const session = token ? await check().catch(() => null) : null;
  await app.get<RateLimiter>(RateLimiter).general(request, reply, session?.user.id ?? null);
}

/** No text column could hold it; like any other text that is none, wherever in the address it stands. */
function nulIn(url: string): Refusal | null {
  if (!url.includes('%00')) return null;
  const message = 'Text must not contain NUL characters';
  return new Refusal('malformed', 'MALFORMED', message, {
    issues: [{ code: 'custom', path: [], message, in: 'query' }],
  });
}

/** A path that exists for other methods is 405, not 404. */
function otherMethod(fastify: FastifyInstance, method: string, path: string): HttpRefusal | null {
  const allowed = methods.filter(
    (other) => other !== method && routes.some((route) => route.method === other && matches(route.path, path)),
  );
  if (allowed.length === 0) return null;
  return new HttpRefusal(405, 'METHOD_NOT_ALLOWED', 'Method not allowed', { allow: allowed.join(', ') });
}

function matches(pattern: string, path: string): boolean {
  const want = pattern.split('/');
  const have = path.replace(/(.)\/$/, '$1').split('/');
  return want.length === have.length && want.every((part, i) => part.startsWith(':') || part === have[i]);
}

/** A caller's own id is kept, so that his logs and ours meet. */
function correlationIdOf(header: string | string[] | undefined): string {
  return typeof header === 'string' && (isId(header) || /^[\w.-]{8,64}$/.test(header)) ? header : newId();
}

/** The jobs document's prefix is configurable; the paths below it stay what they are. */
function withoutPrefix(url: string, prefix: string): string {
  if (prefix === '/api/v1' || !url.startsWith(`${prefix}/`)) return url;
  return `/api/v1${url.slice(prefix.length)}`;
}

/** Every path that is served has a policy, or nothing is served at all; Swagger's own page is the exception. */
function refuseOpenRoutes(fastify: FastifyInstance): void {
  const known = new Set(routes.map(({ method, path }) => `${method} ${path}`));
  fastify.addHook('onRoute', ({ method, url }) => {
    const methodList = Array.isArray(method) ? method : [method];
    const open = methodList.filter(
      (each) => !['HEAD', 'OPTIONS'].includes(each) && !known.has(`${each} ${url.replace(/(.)\/$/, '$1')}`),
    );
    if (open.length === 0 || /^\/docs(\/|$)/.test(url)) return;
    throw new Error(`A route without a policy: ${open.join(', ')} ${url}`);
  });
}

/** What a route says of its own body, where it is not the limit of all. */
function limitBodies(fastify: FastifyInstance): void {
  const limits = new Map(routes.map(({ method, path, bodyLimit: own }) => [`${method} ${path}`, own]));
  fastify.addHook('onRoute', (route) => {
    const own = limits.get(`${String(route.method)} ${route.url}`);
    if (own !== undefined) route.bodyLimit = own;
  });
}
