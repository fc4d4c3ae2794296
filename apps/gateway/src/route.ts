import { applyDecorators, HttpCode, RequestMapping, RequestMethod, SetMetadata } from '@nestjs/common';
import { type ZodType } from 'zod';
import { type RefusalKind, type Right } from '#domain';

/** Who may come here: anybody, anybody who is signed in, or whoever has the right. There is no default. */
export type Policy = 'public' | 'session' | Right;

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface RouteSettings {
  policy: Policy;
  /** One sentence, for the description of the API. */
  summary: string;
  /** Status of success; 200 when left out. */
  status?: number;
  body?: ZodType;
  query?: ZodType;
  /** Shape of the answer of success; an empty one when left out, or what `produces` says. */
  answer?: ZodType;
  /** Content types of an answer that is no JSON; it is described by them alone. */
  produces?: string[];
  /** What it refuses beside what every route of its kind does (`answers.ts`). */
  refuses?: RefusalKind[];
  /** Other statuses with an answer of their own instead of a refusal's. */
  also?: Record<number, ZodType>;
  /** Content types of a body; JSON when left out. */
  accepts?: ('json' | 'form')[];
  /** Largest body in bytes; 1 MiB when left out. */
  bodyLimit?: number;
}

export interface RouteEntry extends RouteSettings {
  method: Method;
  path: string;
  handler: string;
}

export const routeKey = 'runledger:route';

/** Every HTTP route there is: the guard, the description and the tests read it. */
export const routes: RouteEntry[] = [];

/**
 * A route with its policy and shapes, in one place. A handler without it is refused at start.
 *
 * The OpenAPI document is made of what stands here, and the contract tests hold every answer that they receive against it
 * (`libs/testing/src/described.ts`): a status, a content type or a field that is not declared is an error. So a new route says
 * `status` and `answer` (or `produces`), and in `refuses` what its handler and the rules behind it may refuse beyond what
 * `answers.ts` knows of every route: 404 with an id in the path, 401 and 403 by its policy, 409 on whatever changes something,
 * 413, 415, 422, 503. A shape that several routes answer gets a name: `shape.register(z.globalRegistry, { id: 'Run' })`.
 */
export function Route(method: Method, path: string, settings: RouteSettings): MethodDecorator {
  return (target, key, descriptor) => {
    const entry: RouteEntry = { method, path, handler: `${target.constructor.name}.${String(key)}`, ...settings };
    routes.push(entry);
    applyDecorators(
      RequestMapping({ method: RequestMethod[method], path }),
      HttpCode(settings.status ?? 200),
      SetMetadata(routeKey, entry),
    )(target, key, descriptor);
  };
}
