import { STATUS_CODES } from 'node:http';
import { z, type ZodType } from 'zod';
import { type RefusalKind } from '#domain';
import { statusOf } from './refusals.js';
import { type RouteEntry } from './route.js';
import { type Surface } from './surface.js';

const byStatus = (answers: [status: number, answer: object][]): object =>
  Object.fromEntries(answers.sort(([a], [b]) => a - b));

/** Every status that a route answers with, and the shape of its body. What HTTP itself refuses (400, 408, 431) is no route's. */
export function answersOf(route: RouteEntry, surface: Surface, schemas: Schemas): object {
  const { summary, status = 200, also = {} } = route;
  const refused = [
    ...refusalsOf(route, surface).map((kind) => surface.statuses?.[kind] ?? statusOf[kind]),
    ...limitsOf(route),
  ];
  const others = Object.entries(also).map(([code, shape]): [number, object] => [
    Number(code),
    { description: STATUS_CODES[code], content: json(schemas, shape) },
  ]);
  return {
    ...byStatus([
      ...refused.map((code): [number, object] => [code, refusal(surface, schemas, code)]),
      ...others,
      [status, { description: summary, ...contentOf(route, schemas) }],
    ]),
    default: refusal(surface, schemas, 500),
  };
}

/** What the way to any handler may refuse, and what the handler itself says that it does. */
function refusalsOf({ method, path, policy, refuses = [] }: RouteEntry, surface: Surface): RefusalKind[] {
  const changes = method !== 'GET';
  return [
    // A NUL in the address is none of any route's business, and yet its answer.
    ...(['malformed', 'unavailable'] as const),
    ...(policy === 'public' ? [] : (['unauthenticated'] as const)),
    // Somebody without the right, or a page of another origin.
    ...((policy !== 'public' && policy !== 'session') || changes ? (['forbidden'] as const) : []),
    ...(path.includes(':') ? (['not-found'] as const) : []),
    // Others may keep changing the same stream.
    ...(changes ? (['conflict'] as const) : []),
    ...(surface.limited?.(path) ? (['limited'] as const) : []),
    ...refuses,
  ];
}

/** A content type or a length of the body that is not taken. */
const limitsOf = ({ method }: RouteEntry): number[] => (method === 'GET' ? [415] : [413, 415]);

function refusal(surface: Surface, schemas: Schemas, status: number): object {
  const type = surface.contentType ?? 'application/json';
  const description =
    status === 500 ? 'A fault of the server, with the id under which it is logged' : STATUS_CODES[status];
  return { description, content: { [type]: { schema: schemas.of(surface.bodyShape(status)) } } };
}

function contentOf({ answer, produces }: RouteEntry, schemas: Schemas): { content?: object } {
  if (produces) return { content: Object.fromEntries(produces.map((type) => [type, { schema: { type: 'string' } }])) };
  return answer ? { content: json(schemas, answer) } : {};
}

const json = (schemas: Schemas, shape: ZodType): object => ({ 'application/json': { schema: schemas.of(shape) } });

/** JSON Schema of zod shapes; those with an id (`.meta({ id })`) stand once, in `components`, and are referred to. */
export class Schemas {
  readonly named: Record<string, object> = {};

  of(shape: ZodType, io: 'input' | 'output' = 'output'): object {
    const {
      $schema: _,
      $defs = {},
      ...schema
    } = z.toJSONSchema(shape, {
      ...{ io, unrepresentable: 'any' },
      // What any number of JavaScript's is bound by says nothing of this one.
      override: ({ jsonSchema }) => {
        if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      },
    });
    for (const [name, definition] of Object.entries($defs)) this.named[name] = referring(definition);
    return referring(schema);
  }
}

const referring = (schema: object): object =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/')) as object;
