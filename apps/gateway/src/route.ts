import { applyDecorators, HttpCode, RequestMapping, RequestMethod, SetMetadata } from '@nestjs/common';
import { type ZodType } from 'zod';
import { type Right } from '#domain';

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
  answer?: ZodType;
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

/** A route with its policy and shapes, in one place. A handler without it is refused at start. */
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
