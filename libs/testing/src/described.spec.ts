import { expect, test } from '@jest/globals';
import { Description } from './described.js';

const json = (schema: object) => ({ content: { 'application/json': { schema } } });
const thing = { $ref: '#/components/schemas/Thing' };
const description = new Description({
  paths: {
    '/things': { get: { responses: { 200: json({ type: 'array', items: thing }) } } },
    '/things/{id}': {
      get: { responses: { 200: json(thing), 404: json({ type: 'object' }), default: json({}) } },
      delete: { responses: { 204: {} } },
    },
    '/things/newest': { get: { responses: { 200: json({ type: 'null' }) } } },
    '/text': { get: { responses: { 200: { content: { 'text/plain': { schema: { type: 'string' } } } } } } },
  },
  components: {
    schemas: {
      Thing: {
        type: 'object',
        properties: { id: { type: 'string', format: 'uuid' } },
        required: ['id'],
        additionalProperties: false,
      },
    },
  },
});

const good = { id: '01890a5d-ac96-774b-bcce-b302099a8057' };

/** What is wrong with this answer, or nothing. */
function faultOf(line: string, status: number, body?: unknown, type = 'application/json; charset=utf-8'): string {
  const [method, path] = line.split(' ') as [string, string];
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = new Headers(body === undefined ? {} : { 'content-type': type });
  try {
    description.check(method, path, { status, headers, text, body });
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

test.each<[string, number, unknown?, string?]>([
  ['GET /things', 200, []],
  ['GET /things/', 200, [good, good]],
  ['GET /things/x', 200, good],
  ['GET /things/x', 404, {}],
  ['GET /things/newest', 200, null],
  ['HEAD /things/x', 200],
  ['DELETE /things/x', 204],
  ['GET /text', 200, 'anything', 'text/plain'],
  ['OPTIONS /things', 204],
  ['GET /docs/swagger-ui.css', 200, 'a page', 'text/css'],
  ['GET /nowhere', 404, { error: 'Not found' }],
  ['PUT /things', 405, { error: 'Method not allowed' }],
  ['GET /things/%ZZ', 400, { error: 'Malformed request' }],
])('%s %i %j is as described', (...answer) => {
  expect(faultOf(...answer)).toBe('');
});

test.each<[string, number, unknown, RegExp, string?]>([
  ['GET /things/x', 200, { ...good, more: 1 }, /GET \/things\/\{id\} answered 200, .*additional properties.*"more"/],
  ['GET /things', 200, [good, {}], /\/1 must have required property 'id'/],
  ['GET /things', 200, [{ id: 'x' }], /\/0\/id must match format "uuid"/],
  ['GET /things/newest', 200, good, /must be null/],
  ['GET /things/x', 409, {}, /answered 409, but only 200, 404, default are described/],
  ['GET /things/x', 500, {}, /answered 500/],
  ['HEAD /things/x', 401, undefined, /answered 401/],
  ['DELETE /things/x', 204, good, /no body is described/],
  ['GET /things', 200, [], /text\/html is not among application\/json/, 'text/html'],
  ['GET /things', 200, undefined, /undefined is not among application\/json/],
  ['POST /things', 201, good, /POST \/things answered 201, but the route is not described/],
  ['GET /elsewhere', 200, {}, /the route is not described/],
  ['GET /docsish', 200, {}, /the route is not described/],
  ['GET /elsewhere', 404, {}, /the refusal is no JSON/, 'text/html'],
  ['GET /elsewhere', 500, {}, /the route is not described/],
])('%s %i %j is not', (...[line, status, body, fault, type]) => {
  expect(faultOf(line, status, body, type)).toMatch(fault);
});
