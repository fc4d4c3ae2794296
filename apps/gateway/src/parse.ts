import { type FastifyRequest } from 'fastify';
import { type output, type ZodType } from 'zod';
import { malformed } from './refusals.js';

/** Checks a part of the request once, at the door; what does not fit is refused with its place. */
export function parse<S extends ZodType>(
  schema: S,
  value: unknown,
  where: 'body' | 'query' | 'path' = 'body',
): output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw malformed(result.error, where, value);
}

export const bodyOf = <S extends ZodType>(schema: S, request: FastifyRequest): output<S> =>
  parse(schema, request.body ?? {});
export const queryOf = <S extends ZodType>(schema: S, request: FastifyRequest): output<S> =>
  parse(schema, request.query, 'query');
export const paramOf = (request: FastifyRequest, name = 'id'): string =>
  String((request.params as Record<string, unknown>)[name] ?? '');
