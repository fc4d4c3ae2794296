import { z } from 'zod';
import { pathOf, surfaceOf } from './refusals.js';
import { routes, type RouteEntry } from './route.js';

const schemaOf = (schema: z.ZodType, io: 'input' | 'output') => z.toJSONSchema(schema, { io, unrepresentable: 'any' });

/** The description of every surface, from the same shapes that check requests. */
export function describeApi(version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route, path);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Runledger', version, description: 'Every surface of Runledger on one port.' },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        cookie: { type: 'apiKey', in: 'cookie', name: 'connect.sid' },
      },
    },
  };
}

function operation(route: RouteEntry, path: string): object {
  const { summary, policy, status = 200, body, answer, accepts = ['json'], handler } = route;
  const types = accepts.map((kind) => (kind === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'));
  const content = (schema: object) => Object.fromEntries(types.map((type) => [type, { schema }]));
  const success = answer ? { content: { 'application/json': { schema: schemaOf(answer, 'output') } } } : {};
  return {
    summary,
    operationId: handler.replace('Controller', ''),
    tags: [surfaceOf(pathOf(path)).name],
    security: policy === 'public' ? [] : [{ bearer: [] }, { cookie: [] }],
    parameters: [...pathParameters(path), ...queryParameters(route)],
    ...(body ? { requestBody: { required: true, content: content(schemaOf(body, 'input')) } } : {}),
    responses: {
      [status]: { description: summary, ...success },
      default: { description: "A refusal in the surface's own words" },
    },
  };
}

function pathParameters(path: string): object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters({ query }: RouteEntry): object[] {
  if (!query) return [];
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
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
