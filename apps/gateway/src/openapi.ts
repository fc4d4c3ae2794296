import { answersOf, Schemas } from './answers.js';
import { cookieNames } from './credentials.js';
import { socketMessages, socketRefusal, told } from './live/live.shapes.js';
import { pathOf, surfaceOf, surfaces } from './refusals.js';
import { routes, type RouteEntry } from './route.js';
import { clientFrame, serverFrames } from './surfaces/tasks/frames.shapes.js';

/** The description of every surface, from the same shapes that check requests. */
export function describeApi(version: string, jobsPrefix = '/api/v1'): object {
  const schemas = new Schemas();
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const surface = surfaceOf(pathOf(route.path));
    const path = surface.name === 'jobs' ? route.path.replace(/^\/api\/v1/, jobsPrefix) : route.path;
    (paths[path.replaceAll(/:(\w+)/g, '{$1}')] ??= {})[route.method.toLowerCase()] = operation(route, schemas);
  }
  // Also of the surface that has no route, only refusals.
  surfaces.forEach((surface) => schemas.of(surface.bodyShape(404)));
  return {
    openapi: '3.1.0',
    info: { title: 'Runledger', version, description: 'Every surface of Runledger on one port.' },
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    paths,
    'x-live': describeLive(schemas),
    'x-tasks-live': describeTasksLive(schemas),
    components: {
      schemas: schemas.named,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        cookie: { type: 'apiKey', in: 'cookie', name: cookieNames[0] },
        tasksCookie: { type: 'apiKey', in: 'cookie', name: cookieNames[1] },
      },
    },
  };
}

/** What goes over the sockets, which OpenAPI has no words for. */
function describeLive(schemas: Schemas): object {
  const emit = Object.entries(socketMessages).map(([name, { shape, answer }]) => [
    name,
    {
      message: schemas.of(shape, 'input'),
      acknowledgement: { anyOf: [schemas.of(answer), schemas.of(socketRefusal)] },
    },
  ]);
  const receive = Object.entries(told).map(([name, shape]) => [name, schemas.of(shape)]);
  return { path: '/socket.io', emit: Object.fromEntries(emit), receive: Object.fromEntries(receive) };
}

/** The same of the plain WebSocket. */
function describeTasksLive(schemas: Schemas): object {
  const receive = Object.entries(serverFrames).map(([name, shape]) => [name, schemas.of(shape)]);
  return { path: '/ws', send: { ping: schemas.of(clientFrame, 'input') }, receive: Object.fromEntries(receive) };
}

function operation(route: RouteEntry, schemas: Schemas): object {
  const { summary, policy, body, accepts = ['json'], handler } = route;
  const surface = surfaceOf(pathOf(route.path));
  const types = accepts.map((kind) => (kind === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'));
  const content = (schema: object) => Object.fromEntries(types.map((type) => [type, { schema }]));
  return {
    summary,
    operationId: handler.replace('Controller', ''),
    tags: [surface.name],
    security: policy === 'public' ? [] : [{ bearer: [] }, { cookie: [] }, { tasksCookie: [] }],
    parameters: [...pathParameters(route), ...queryParameters(route, schemas)],
    ...(body
      ? { requestBody: { required: !body.safeParse({}).success, content: content(schemas.of(body, 'input')) } }
      : {}),
    responses: answersOf(route, surface, schemas),
  };
}

function pathParameters({ path }: RouteEntry): object[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters({ query }: RouteEntry, schemas: Schemas): object[] {
  if (!query) return [];
  const { properties = {}, required = [] } = schemas.of(query, 'input') as {
    properties?: Record<string, object>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
}
