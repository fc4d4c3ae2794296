import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { MODULE_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { GatewayModule } from './gateway.module.js';
import { describeApi } from './openapi.js';
import { surfaces } from './refusals.js';
import { routes } from './route.js';

interface Response {
  description: string;
  content?: Record<string, { schema?: object }>;
}
interface Operation {
  operationId: string;
  tags: string[];
  responses: Record<string, Response>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
  'x-tasks-live': { send: Record<string, object>; receive: Record<string, object> };
  'x-live': { emit: Record<string, Record<string, object>>; receive: Record<string, object> };
}

interface ObjectSchema {
  properties: object;
  additionalProperties?: unknown;
}

/** Every schema in there that names properties; one that names none is a map, or open. */
function objectsIn(value: unknown): ObjectSchema[] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.values(value).flatMap(objectsIn);
  const { type, properties = {} } = value as { type?: unknown; properties?: object };
  return type === 'object' && Object.keys(properties).length > 0 ? [value as ObjectSchema, ...inner] : inner;
}

const document = describeApi('1.2.3') as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
);
const each = operations.map(({ name, operation }) => [name, operation] as const);
const described = (path: string) => path.replaceAll(/:(\w+)/g, '{$1}');

test('is valid OpenAPI 3.1', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document) as object as Record<string, unknown>);
  expect([valid, errors]).toEqual([true, undefined]);
  expect(validator.version).toBe('3.1');
});

test('has every handler of the gateway, and nothing else', () => {
  const controllers = Reflect.getMetadata(MODULE_METADATA.CONTROLLERS, GatewayModule) as { prototype: object }[];
  const handlers = controllers.flatMap(({ prototype }) =>
    Object.entries(Object.getOwnPropertyDescriptors(prototype)).flatMap(([name, { value }]) =>
      name !== 'constructor' && typeof value === 'function' && Reflect.hasMetadata(PATH_METADATA, value)
        ? [value as object]
        : [],
    ),
  );
  const served = handlers.map((handler) => Reflect.getMetadata(PATH_METADATA, handler) as string);
  expect(served.length).toBeGreaterThan(20);
  expect(served.map(described).sort()).toEqual(operations.map(({ name }) => name.split(' ')[1]).sort());
  expect(routes.map(({ method, path }) => `${method} ${described(path)}`).sort()).toEqual(
    operations.map(({ name }) => name).sort(),
  );
  expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
});

describe('every answer has a shape that a strict reader takes', () => {
  const local = (schema: object) =>
    JSON.parse(JSON.stringify(schema).replaceAll('"#/components/schemas/', '"')) as object;
  const ajv = addFormats.default(new Ajv2020({ strict: true, allowUnionTypes: true }));
  for (const [name, schema] of Object.entries(document.components.schemas)) ajv.addSchema(local(schema), name);

  test.each(each)('%s', (_name, { responses }) => {
    const codes = Object.keys(responses);
    expect(codes.filter((code) => /^[23]/.test(code))).toHaveLength(1);
    // Whatever is asked, the service behind it may be away.
    expect(codes).toEqual(expect.arrayContaining(['503', '415', 'default']));
    for (const [code, { description, content = {} }] of Object.entries(responses)) {
      expect([code, description]).toEqual([code, expect.stringMatching(/./)]);
      expect([code, Object.keys(content).length > 0]).toEqual([code, !['204', '302'].includes(code)]);
      for (const { schema } of Object.values(content)) expect(() => ajv.compile(local(schema!))).not.toThrow();
    }
  });

  test('live messages', () => {
    const { emit, receive } = document['x-live'];
    expect([Object.keys(emit), Object.keys(receive)]).toEqual([
      ['subscribe', 'unsubscribe'],
      ['event', 'output'],
    ]);
    const schemas = [...Object.values(emit).flatMap((message) => Object.values(message)), ...Object.values(receive)];
    expect(schemas).toHaveLength(6);
    for (const schema of schemas) expect(() => ajv.compile(local(schema))).not.toThrow();
  });

  test('frames of /ws', () => {
    const { send, receive } = document['x-tasks-live'];
    expect(Object.keys(send)).toEqual(['ping']);
    expect(Object.keys(receive)).toEqual([
      ...['connected', 'pong', 'error', 'terminal_output', 'task_status', 'execution_start', 'execution_complete'],
      ...['activity_log', 'notification'],
    ]);
    for (const schema of [...Object.values(send), ...Object.values(receive)]) {
      expect(() => ajv.compile(local(schema))).not.toThrow();
    }
  });

  test('an object that says what it has says all of it', () => {
    const objects = objectsIn(document.components.schemas);
    expect(objects.length).toBeGreaterThan(10);
    expect(objects.filter(({ additionalProperties }) => additionalProperties !== false)).toEqual([]);
  });
});

test('each surface refuses in its own words', () => {
  const shapes = surfaces.map((surface) => [surface.name, surface.bodyShape(404).meta()?.id]);
  expect(Object.fromEntries(shapes)).toEqual({
    ...{ jobs: 'JobsRefusal', native: 'Problem', viewer: 'ViewerRefusal', api: 'ApiRefusal', root: 'RootRefusal' },
    tasks: 'TasksRefusal',
  });
  for (const surface of surfaces) {
    for (const status of [400, 401, 404, 409, 413, 429, 500, 503]) {
      const fault = { status, code: 'SOME_CODE', message: 'no', details: undefined, correlationId: 'x' };
      expect(surface.bodyShape(status).safeParse(surface.body(fault)).error).toBeUndefined();
    }
    const issues = [{ code: 'custom', path: ['a', 0], message: 'no', in: 'body', input: null }];
    const fault = { status: 422, code: 'MALFORMED', message: 'no', details: { issues }, correlationId: 'x' };
    for (const details of [{ issues }, undefined]) {
      expect(surface.bodyShape(422).safeParse(surface.body({ ...fault, details })).error).toBeUndefined();
    }
  }
});

test('the paths of jobs stand under their prefix, all others where they are', () => {
  const { paths } = describeApi('1.2.3', '/runner/v2') as Document;
  const moved = Object.keys(document.paths).map((path) =>
    Object.values(document.paths[path]!)[0]!.tags[0] === 'jobs' ? path.replace('/api/v1', '/runner/v2') : path,
  );
  expect(Object.keys(paths)).toEqual(moved);
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining(['/runner/v2/jobs/{id}', '/api/v1/runs', '/api/processes']),
  );
});
